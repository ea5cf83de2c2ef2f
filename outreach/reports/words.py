"""The words for people behind the ids that figures, states and reasons have in the database and in JSON.

Each function answers in the language chosen when it is called; an id that it does not know is shown as it is. Words begin small, as they
stand in a sentence; `heading` makes one the head of a column.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from outreach.i18n import gettext as _


def delivery_state(id: str, channel: str = "") -> str:
    """Return the word for the state of a delivery; letters and visits have words of their own, for people carry them."""
    return _carried_state(channel).get(id) or {
        "queued": _("queued"),
        "sending": _("being sent"),
        "accepted": _("accepted by the provider"),
        "review": _("under review"),
        "unknown": _("unknown"),
        "delivered": _("delivered"),
        "undelivered": _("undelivered"),
        "silent": _("no receipt"),
        "failed": _("failed"),
        "skipped": _("not sent"),
    }.get(id, id)


def _carried_state(channel: str) -> Mapping[str, str]:
    match channel:
        case "letter":
            return {"queued": _("to be printed"), "accepted": _("printed, to be posted"), "delivered": _("posted"), "undelivered": _("returned")}
        case "visit":
            return {
                "queued": _("to be visited"),
                "accepted": _("given to a visitor"),
                "delivered": _("visited"),
                "undelivered": _("visited in vain"),
                "skipped": _("not visited"),
            }
        case _:
            return {}


def column(id: str, channel: str = "") -> str:
    """Return the word for a column of the statement or of signatures: a state of deliveries, or what became of enterprises.

    `channel` is that of all the figures beneath, where they are of one.
    """
    return {
        "included": _("included"),
        "waiting": _("waiting"),
        "doubled": _("sent twice"),
        "adds_up": _("adds up"),
        "selected": _("selected"),
        "signed": _("signed"),
        "declined": _("declined"),
        "withdrawn": _("withdrawn"),
        "opened": _("opened"),
        "not_opened": _("not opened"),
        "pending": _("scan missing"),
        "reached": _("reached"),
        "not_reached": _("not reached"),
        "excluded": _("excluded"),
    }.get(id) or delivery_state(id, channel)


def campaign_state(id: str) -> str:
    """Return the word for the state of a campaign."""
    return {
        "planned": _("planned"),
        "approved": _("approved"),
        "canary": _("trying the first ones"),
        "running": _("running"),
        "paused": _("paused"),
        "finished": _("finished"),
        "cancelled": _("cancelled"),
    }.get(id, id)


def pause_reason(id: str) -> str:
    """Return in words why a campaign stands paused."""
    return {
        "staff": _("paused by staff"),
        "first": _("the first ones are sent, as asked"),
        "canary": _("too many of the first ones failed"),
        "account": _("the provider refuses the account"),
        "content": _("the provider refuses the text"),
    }.get(id, id)


def skip_reason(id: str, channel: str = "") -> str:
    """Return in words why a delivery was not sent; some reasons read otherwise in WeChat, and on an envelope."""
    return _skip_on(channel).get(id) or {
        "suppressed": _("on the list of refusals"),
        "no_address": _("no number"),
        "goal_reached": _("goal reached"),
        "stopped": _("stopped"),
        "cancelled": _("campaign cancelled"),
        "address_changed": _("number changed since the plan"),
        "merged": _("merged with another"),
        "erased": _("erased"),
    }.get(id, id)


def _skip_on(channel: str) -> Mapping[str, str]:
    match channel:
        case "wechat":
            return {"no_address": _("not bound in WeChat"), "address_changed": _("no longer bound in WeChat")}
        case "letter":
            return {"no_address": _("no postal address"), "suppressed": _("no letters to this address"), "address_changed": _("address changed since")}
        case _:
            return {}


def exclusion(id: str) -> str:
    """Return in words why somebody was left out of a campaign."""
    return {
        "no_contact": _("no contact"),
        "no_address": _("no number"),
        "suppressed": _("on the list of refusals"),
        "closed": _("closed"),
        "erased": _("erased"),
    }.get(id, id)


def error_kind(id: str) -> str:
    """Return in words what kind of refusal a provider's was."""
    return {
        "address": _("bad number"),
        "opted_out": _("said no"),
        "content": _("text refused"),
        "account": _("account refused"),
        "temporary": _("cannot be reached at present"),
    }.get(id, id)


def return_reason(id: str) -> str:
    """Return in words why the post brought a letter back."""
    return {
        "unknown": _("addressee unknown"),
        "moved": _("moved away"),
        "refused": _("not taken in"),
        "address": _("address incomplete"),
        "other": _("another reason"),
    }.get(id, id)


def suppression(id: str | None) -> str:
    """Return in words why an address is not written to; what staff wrote themselves stands as they wrote it."""
    return {"opted_out": _("said no"), "address": _("bad address")}.get(id or "", id or "")


def visit_result(id: str) -> str:
    """Return in words what a visit brought."""
    return {
        "met": _("spoken to"),
        "paper": _("signed on paper"),
        "will_sign": _("will sign"),
        "new_phone": _("has a new number"),
        "closed": _("closed down"),
        "refused": _("will not sign"),
        "not_found": _("nobody found"),
        "again": _("nobody there; to be tried again"),
    }.get(id, id)


def doubt(id: str) -> str:
    """Return in words why nobody knows whether a message left."""
    if id.startswith("http "):
        return _("the provider answered {status}").format(status=id.removeprefix("http "))
    if id.endswith(("Timeout", "TimeoutError")):
        return _("no answer in time")
    if id.endswith(("Error", "Disconnected", "Exception")):
        return _("the connection broke")
    return {
        "lease_over": _("the sending was interrupted"),
        "unreadable": _("the answer cannot be read"),
        "person": _("decided by staff"),
    }.get(id, id)


def reason(id: str, channel: str = "") -> str:
    """Return the words for any reason that a delivery or a recipient carries; on paper they are the post's and the visitor's."""
    on_paper = {"letter": return_reason, "visit": visit_result}.get(channel, str)
    known = (on_paper(id), skip_reason(id, channel), exclusion(id), error_kind(id))
    return next((words for words in known if words != id), None) or doubt(id)


def channel(id: str) -> str:
    """Return the word for a channel."""
    return {"sms": _("text message"), "wechat": _("WeChat"), "letter": _("letter"), "visit": _("visit"), "none": _("cannot be reached")}.get(id, id)


def of_one(channels: Iterable[str]) -> str:
    """Return the channel that all of these are, nothing where they differ: the words of letters fit no text message."""
    found = set(channels)
    return found.pop() if len(found) == 1 else ""


def way(id: str) -> str:
    """Return the word for the way by which a signature or a refusal came, or a WeChat was bound."""
    return {
        "link": _("personal link"),
        "code": _("code"),
        "wechat": _("WeChat"),
        "event": _("at an event"),
        "paper": _("on paper"),
        "staff": _("by staff"),
        "conversation": _("typed the code"),
        "scene": _("scanned the QR code"),
        "oauth": _("in the pledge page"),
    }.get(id, id)


def standing(id: str) -> str:
    """Return in words how somebody stands to the office's WeChat account."""
    return {"bound": _("follows, bound"), "unbound": _("follows, not bound"), "left": _("follows no more")}.get(id, id)


def state(id: str, channel: str = "") -> str:
    """Return the word for the state of a delivery, of a signature or of a print batch."""
    known = {"signed": _("signed"), "pending": _("scan missing"), "withdrawn": _("withdrawn"), "superseded": _("superseded")}
    return known.get(id) or batch_state(id) or delivery_state(id, channel)


def batch_state(id: str) -> str:
    """Return the word for the state of a print batch; nothing for what is none."""
    return {"rendering": _("being set"), "rendered": _("printed, to be posted"), "posted": _("posted"), "discarded": _("discarded")}.get(id, "")


def method(id: str) -> str:
    """Return the word for how a pledge was signed."""
    return {"typed": _("name typed"), "drawn": _("drawn"), "paper": _("by hand")}.get(id, id)


def capacity(id: str) -> str:
    """Return the word for the capacity in which somebody signed."""
    return {"legal_representative": _("legal representative"), "principal": _("principal"), "agent": _("agent")}.get(id, id)


def act(id: str) -> str:
    """Return the words for what happened to a signature, as the evidence names it."""
    return {
        "opened": _("opened"),
        "code_sent": _("one-time code sent"),
        "code_passed": _("one-time code typed rightly"),
        "signed": _("signed"),
        "declined": _("declined"),
        "withdrawn": _("withdrawn"),
        "superseded": _("superseded"),
        "corrected": _("said that our list is wrong"),
        "paper": _("signed on paper"),
        "scan_added": _("scan added"),
        "erased": _("person erased"),
    }.get(id, id)


def condition(id: str) -> str:
    """Return in words when a step is due."""
    return {
        "always": _("always"),
        "unreached": _("not reached so far"),
        "unopened": _("not opened so far"),
        "unsigned": _("not signed so far"),
        "unanswered": _("not answered so far"),
        "absent": _("not present"),
        "attended": _("present"),
    }.get(id, id)


def mode(id: str) -> str:
    """Return the word for the mode of an office or of a campaign."""
    return {"rehearsal": _("rehearsal"), "production": _("production")}.get(id, id)


def meaning(id: str) -> str:
    """Return in words what a reply was taken for."""
    return {
        "opt_out": _("wants no more messages"),
        "opt_in": _("wants messages again"),
        "code": _("the code"),
        "digits": _("the digits"),
        "code_digits": _("code and digits"),
        "mistyped": _("a mistyped code"),
        "late": _("came too late to count"),
    }.get(id) or deed(id)


def deed(id: str) -> str:
    """Return in words what a person did who wrote or came to the office's account."""
    return {
        "text": _("wrote"),
        "follow": _("follows"),
        "leave": _("left"),
        "scan": _("scanned"),
        "subscription": _("chose notices"),
    }.get(id, id)


def field(id: str) -> str:
    """Return the word for what figures are grouped by, or what a list shows of a delivery."""
    return {
        "campaign": _("campaign"),
        "step": _("step"),
        "occurrence": _("occurrence"),
        "channel": _("channel"),
        "enterprise": _("enterprise"),
        "enterprises": _("enterprises"),
        "column": _("column of the statement"),
        "others": _("also speaks for"),
        "credit_code": _("credit code"),
        "town": _("town"),
        "industry": _("industry"),
        "scale": _("scale"),
        "department": _("department"),
        "village": _("village or community"),
        "above_scale": _("above scale"),
        "way": _("way"),
        "pledge": _("pledge"),
        "version": _("version"),
        "method": _("how signed"),
        "signer": _("signer"),
        "capacity": _("capacity"),
        "honour": _("on the honour roll"),
        "review": _("to be reviewed"),
        "ended_at": _("ended at"),
        "serial": _("serial number"),
        "signed_at": _("signed at"),
        "opened_at": _("opened at"),
        "rank": _("rank"),
        "share": _("share signed (%)"),
        "contact": _("contact"),
        "phone": _("phone"),
        "address": _("postal address"),
        "state": _("state"),
        "reason": _("reason"),
        "error": _("error code"),
        "kind": _("kind of error"),
        "sender": _("sender"),
        "attempt": _("attempt"),
        "reference": _("provider's reference"),
        "day": _("day"),
        "time": _("time"),
        "body": _("text"),
        "meaning": _("meaning"),
        "deed": _("what he did"),
        "answer": _("answered at once"),
        "answered_by": _("answered by"),
        "answered_at": _("answered at"),
        "first": _("first channel"),
        "bound_at": _("WeChat bound at"),
        **_of_print(),
    }.get(id) or column(id)


def _of_print() -> Mapping[str, str]:
    """Return the words of print batches and of the letters in them."""
    return {
        "batch": _("print batch"),
        "letters": _("letters"),
        "pages": _("pages"),
        "posted": _("posted"),
        "returned": _("returned"),
        "pull_out": _("to pull out"),
        "enclosures": _("enclosures"),
        "made_at": _("made at"),
        "made_by": _("made by"),
        "posted_on": _("posted on"),
        "posted_by": _("posting told by"),
        "returned_at": _("came back at"),
        "reprints": _("printed again"),
        "place": _("place in the batch"),
        "code": _("signing code"),
        "person": _("addressee"),
        "needless": _("why to pull out"),
    }


def heading(word: str) -> str:
    """Return a word as the head of a column: with a capital, where the script has them."""
    return word[:1].upper() + word[1:]


VALUES = {
    "state": state,
    "channel": channel,
    "first": channel,
    "reason": reason,
    "needless": skip_reason,
    "kind": error_kind,
    "meaning": meaning,
    "deed": deed,
    "column": column,
    "way": way,
    "standing": standing,
    "method": method,
    "capacity": capacity,
    "act": act,
}
"""The columns whose values are ids, and what turns each into words."""
BY_CHANNEL = {"state": state, "reason": reason}
"""Those whose words depend on the channel that the row names."""


def in_words(rows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield rows with the ids in them turned into words, for readers who are people; each id is looked up once."""
    known: dict[tuple[str, str, str], str] = {}
    for row in rows:
        shown, on = dict(row), str(row.get("channel") or "")
        for key, words in VALUES.items():
            id = row.get(key)
            if id:
                if (key, id, on) not in known:
                    known[key, id, on] = BY_CHANNEL[key](id, on) if key in BY_CHANNEL else words(id)
                shown[key] = known[key, id, on]
        yield shown

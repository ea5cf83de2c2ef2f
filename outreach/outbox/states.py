"""What news does to a delivery: the table of states, pure."""

from collections.abc import Iterable

RANK = {"delivered": 5, "undelivered": 4, "failed": 3, "silent": 2, "accepted": 1}
"""Later news moves a delivery forward by rank and never back, so receipts may come in any order and any number of times."""
CARRIED = ("letter", "visit")
"""Channels whose messages people carry: no worker claims them, and no receipt is awaited."""


def after(state: str, news: str) -> str:
    """Return the state of a delivery once `news` (accepted, delivered, undelivered or failed) of it is known.

    A receipt proves that the provider had the message, whatever we believed: that we had not sent it (queued), were sending it, did not
    know, or had meanwhile decided to skip it. A skipped one never opens again: of it "accepted" makes silent.
    """
    if state == "skipped" and news == "accepted":
        return "silent"
    return news if RANK[news] > RANK.get(state, 0) else state


def after_all(state: str, news: Iterable[str]) -> str:
    """Return the state after several pieces of news, in any order."""
    for item in news:
        state = after(state, item)
    return state


def after_carried(state: str, news: str) -> str:
    """Return the state of a letter or a visit once `news` of it is known.

    accepted     it is in a print batch, or on somebody's list; only what was queued can be
    queued       it was put back: taken out of its batch, or the list, before anybody carried it
    delivered    posted, or the visit was made
    undelivered  returned, or nobody was found

    Of what people carry the later news is the better: a posted letter comes back, and one that was called returned by mistake did not.
    A skipped one that was carried nevertheless is what it then became.
    """
    if news == "accepted":
        return news if state == "queued" else state
    if news == "queued":
        return news if state == "accepted" else state
    return news

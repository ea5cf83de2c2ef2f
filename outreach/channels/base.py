"""The contract of a channel: it takes a slice of messages and says of each what became of it.

The outbox knows nothing of any provider beyond this page. A channel never raises a provider's own error across it, and never logs a
secret, a body or a whole address.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from outreach.errors import BadInput, OutreachError, Refused

Kind = Literal["address", "opted_out", "content", "account", "temporary"]
"""What the office must do about a refusal: the address is bad (suppress it); the person said no (suppress it); the text is refused
(halt the campaign); the account is refused (halt the sender, tell a person); temporary (final for this delivery: the next step is the retry)."""


class BadSignature(Refused):
    """The signature of this callback is wrong; it did not come from the provider."""

    status = 403


class MalformedCallback(BadInput):
    """This callback lacks {what}."""

    status = 400


class StatusUnknown(MalformedCallback):
    """The {field} of this callback is {status}, which is none of: {known}."""


class ProviderUnavailable(OutreachError):
    """The provider of sender {sender} does not answer now."""

    status = 503


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one address. `attempt_id` travels to the provider, so that any receipt finds its delivery.

    `body` is what the person reads. Where a provider writes that itself from a text filed with it, `template` is the id under which it
    was filed and `variables` fills it, by its own keys; `link` is where a tap leads, and `via` says which of its ways WeChat is to use.
    """

    delivery: int
    attempt: int
    to: str
    body: str
    template: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    link: str = ""
    via: str = ""

    @property
    def attempt_id(self) -> str:
        """Return `<delivery>.<n>`."""
        return f"{self.delivery}.{self.attempt}"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider has it, under its reference; empty where it gives none."""

    reference: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider refused it; `kind` says what to do, `code` is the provider's."""

    kind: Kind
    code: str


@dataclass(frozen=True, slots=True)
class Review:
    """The provider reads it first; a verdict follows. The reference may be empty."""

    reference: str


@dataclass(frozen=True, slots=True)
class Deferred:
    """Surely not sent; try again after `wait`. `strained` says that the provider was at fault, which counts for the breaker;
    `day_over` that the account's quota of this day is used up, so nothing more goes before midnight in Asia/Shanghai."""

    wait: timedelta
    strained: bool = False
    day_over: bool = False


@dataclass(frozen=True, slots=True)
class Uncertain:
    """Nobody knows whether it was sent: never repeat it on a guess."""

    reason: str


Outcome = Accepted | Rejected | Review | Deferred | Uncertain

Answered = Callable[[Message, Outcome], None]

Status = Literal["accepted", "delivered", "undelivered", "failed"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a provider says of a message later. `delivery` and `attempt` are None where it names only its own reference.

    `to` is the address, where the provider tells it: it finds a delivery in flight whose reference nobody learned.
    """

    provider: str
    reference: str
    status: Status
    delivery: int | None = None
    attempt: int | None = None
    error_code: str | None = None
    kind: Kind | None = None
    to: str | None = None


Act = Literal["text", "follow", "leave", "scan", "subscription"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a person sent back or did; `stops` when the words mean "no more".

    `reference` is the provider's id of it, the same for each repetition. `at` is the provider's time; `account` whom it was sent to;
    `scene` what the QR code stood for; `choices` the subscription notices taken or refused, as {template id: accept|reject}.
    """

    channel: str
    reference: str
    sender: str
    body: str
    stops: bool = False
    restarts: bool = False
    act: Act = "text"
    scene: str = ""
    account: str = ""
    at: datetime | None = None
    choices: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MassReport:
    """What became of a mass message, in the provider's own totals."""

    provider: str
    reference: str
    status: str
    total: int
    filtered: int
    sent: int
    errors: int


Incoming = Receipt | Reply | MassReport


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a provider wants to hear once its callback is kept."""

    status: int = 204
    content_type: str = ""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Found:
    """A message that the provider shows in its list."""

    reference: str
    status: Status
    error_code: str | None = None
    kind: Kind | None = None


class Channel(Protocol):
    """One sender's way out. Made inside a running event loop, closed with it."""

    can_look_up: bool
    fills_templates: bool
    """Whether the provider writes the text itself, and must be given the filed template's id and what fills it."""

    def repeats(self, message: Message) -> timedelta:
        """Return how long after its claim this message may be sent once more under the same attempt id: the provider drops the copy."""
        ...

    async def send(self, messages: Sequence[Message], *, until: float, answered: Answered) -> None:
        """Send a slice, and call `answered` once for each message as soon as its outcome is known.

        `until` is the event loop's time after which no request may begin any more: what is left of the lease would not cover it.
        Slices may overlap; what bounds them is the sender's `in_flight`.
        """
        ...

    async def look_up(self, message: Message, *, since: datetime) -> list[Found]:
        """Return the messages to this address with exactly this body that the provider created after `since`, oldest first.

        Of a message under review it is the verdict, as far as there is one.

        Raises ProviderUnavailable when it cannot be asked.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class Hooks(Protocol):
    """One provider's way in."""

    paths: Sequence[str]
    """Where it calls, such as /hooks/twilio/status."""

    def challenge(self, *, url: str) -> str | None:
        """Answer a GET by which the provider makes sure that the address is ours; None where it does no such thing.

        Raises BadSignature.
        """
        ...

    def read_callback(self, *, url: str, body: bytes, headers: Mapping[str, str]) -> Sequence[Incoming]:
        """Verify a callback on its public URL (with its query) and read what it brings. Raises BadSignature and MalformedCallback."""
        ...

    def acknowledge(self, items: Sequence[Incoming], answer: str | None = None) -> Acknowledgement:
        """Say what to answer once all is kept; `answer` is for the person who wrote, where the provider takes it along."""
        ...

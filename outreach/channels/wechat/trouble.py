"""Why a call to WeChat brought nothing: refused, surely not made, or nobody knows; without anything that it held.

The SDK's own exceptions carry the client with its secret, and addresses with the token: none of them leaves the place where it is caught.
"""

from dataclasses import dataclass
from typing import Literal

from outreach.channels.wechat import codes
from outreach.errors import OutreachError, Refused, Unavailable


class CallRefused(Refused):
    """WeChat refuses this ({code}): {meaning}."""

    @property
    def code(self) -> int:
        """The provider's error code."""
        return int(self.data["code"])


class CallUnsent(Unavailable):
    """WeChat cannot be reached now ({reason}); nothing was done. Try again in a while."""


class CallUnknown(Unavailable):
    """WeChat did not answer as it should ({reason}); nobody knows whether it did what was asked."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What came instead of an answer. `code` is WeChat's where it refused; `of_token` says that not even the call was made, for want of a token;
    `msg_id` is what a refusal names as the message that it takes this one for."""

    sort: Literal["refused", "unsent", "unknown", "late"]
    code: int = 0
    reason: str = ""
    of_token: bool = False
    msg_id: str = ""

    def error(self) -> OutreachError:
        """Return it as an error for who asked."""
        match self.sort:
            case "refused" if codes.effect(self.code) == "busy":
                return CallUnsent(reason=self.code) if self.of_token else CallUnknown(reason=self.code)
            case "refused":
                return CallRefused(code=self.code, meaning=codes.meaning(self.code))
            case "unknown" if not self.of_token:
                return CallUnknown(reason=self.reason)
        return CallUnsent(reason=self.reason)

"""What can go wrong, as a tree: a class for each thing that a caller can act on.

    OutreachError
      BadInput         what was typed, uploaded or written in a file cannot be understood      exit 1, HTTP 422
        UsageError     the command itself is wrong                                             exit 2
      NotFound         a thing was named that is not there                                     exit 1, HTTP 404
      Refused          understood, but not now or not by you                                   exit 1, HTTP 409
        NotSignedIn    an account and its password are needed                                  exit 1, HTTP 401
        NotAllowed     this account may not do that                                            exit 1, HTTP 403
      Misconfigured    a setting is missing or contradicts another                             exit 1, HTTP 500
      Unavailable      a server of ours does not answer                                        exit 1, HTTP 503

The docstring of a class is its message id (gettext), with its data in {braces}; the doorways (CLI, web) translate it with
`outreach.i18n.say`. Features subclass these beside the code that raises them.
"""

from inspect import cleandoc
from typing import Any, ClassVar


class OutreachError(Exception):
    """Something went wrong."""

    exit_code: ClassVar[int] = 1
    status: ClassVar[int] = 500

    def __init__(self, **data: Any) -> None:
        super().__init__(data)
        self.data = data

    @classmethod
    def message_id(cls) -> str:
        """Return the English sentence that the catalogue knows, on one line."""
        return " ".join(cleandoc(cls.__doc__ or "").split())

    def __str__(self) -> str:
        return self.message_id().format(**self.data)


class BadInput(OutreachError):
    """{what} cannot be understood."""

    status = 422


class UsageError(BadInput):
    """{what}"""

    exit_code = 2


class NotFound(OutreachError):
    """There is no {what} called {name}."""

    status = 404


class Refused(OutreachError):
    """{what} is refused."""

    status = 409


class NotSignedIn(Refused):
    """An account and its password are needed: give --as ACCOUNT and --password-file FILE."""

    status = 401


class NotAllowed(Refused):
    """Account {account} may not do this; it takes the role {role}."""

    status = 403


class Misconfigured(OutreachError):
    """The setting {key} is wrong: {why}."""


class Unavailable(OutreachError):
    """{what} does not answer."""

    status = 503

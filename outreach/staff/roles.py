"""What each role may do: a viewer reads, an operator plans, an approver approves, an administrator does all; each may do what those before him may."""

from outreach.database.tables import ROLES
from outreach.errors import NotAllowed
from outreach.i18n import gettext as _
from outreach.staff.accounts import Account

PLAN = "operator"
APPROVE = "approver"
UNMASK = "operator"
ADMINISTER = "administrator"


def allows(account: Account, role: str) -> bool:
    """Whether the account's role is `role` or one above it."""
    return ROLES.index(account.role) >= ROLES.index(role)


def require(account: Account, role: str) -> None:
    """Raise NotAllowed unless the account's role is `role` or one above it."""
    if not allows(account, role):
        raise NotAllowed(account=account.account, role=label(role))


def label(role: str) -> str:
    """Return the word for a role in the reader's language."""
    return {
        "viewer": _("viewer"),
        "operator": _("operator"),
        "approver": _("approver"),
        "administrator": _("administrator"),
    }[role]

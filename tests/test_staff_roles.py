"""What each role may do."""

import pytest

from outreach import i18n
from outreach.database.tables import ROLES
from outreach.errors import NotAllowed
from outreach.staff import roles
from outreach.staff.accounts import Account


@pytest.mark.parametrize("held", ROLES)
@pytest.mark.parametrize("asked", ROLES)
def test_a_role_may_do_what_the_roles_before_it_may_and_no_more(held: str, asked: str) -> None:
    account = Account(1, "alice", held)
    if ROLES.index(held) >= ROLES.index(asked):
        roles.require(account, asked)
    else:
        with pytest.raises(NotAllowed, match=f"Account alice may not do this; it takes the role {asked}"):
            roles.require(account, asked)


def test_planning_takes_an_operator_and_approving_an_approver() -> None:
    able = {held: (roles.allows(Account(1, "a", held), roles.PLAN), roles.allows(Account(1, "a", held), roles.APPROVE)) for held in ROLES}
    assert able == {"viewer": (False, False), "operator": (True, False), "approver": (True, True), "administrator": (True, True)}


def test_each_role_has_a_word() -> None:
    i18n.use("en")
    assert [roles.label(role) for role in ROLES] == list(ROLES)

"""Who may sign in: the rules of accounts and passwords, on both databases."""

from datetime import datetime

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select, update

from outreach.database.engine import Database
from outreach.database.tables import StaffAccount
from outreach.errors import NotSignedIn
from outreach.staff import accounts

from conftest import HASHER  # isort: skip

GOOD = "木棉花开-2026-春"


@pytest.fixture(autouse=True)
def as_in_an_office(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "HASHER", HASHER)


def make(database: Database, now: datetime, account: str, role: str = "administrator", password: str = GOOD) -> accounts.Account:
    with database.write() as session:
        return accounts.add(session, account=account, role=role, password=password, town="逍林镇", phone="+8613800138000", now=now)


def test_the_first_account_must_be_an_administrator(database: Database, now: datetime) -> None:
    with database.read() as session:
        assert accounts.first(session)
    with pytest.raises(accounts.FirstMustBeAdministrator):
        make(database, now, "李四", "operator")
    made = make(database, now, "张三")
    with database.read() as session:
        assert not accounts.first(session)
        assert accounts.listing(session) == [made]
    assert (made.account, made.role, made.town, made.phone, made.disabled_at) == ("张三", "administrator", "逍林镇", "+8613800138000", None)


def test_only_the_right_password_of_an_open_account_signs_in(database: Database, now: datetime) -> None:
    alice = make(database, now, "alice")
    make(database, now, "bob", "operator")
    with database.write() as session:
        assert accounts.sign_in(session, account="alice", password=GOOD) == alice
        wrong = [("alice", GOOD + "x"), ("Alice", GOOD), ("nobody", GOOD), ("", ""), ("alice", "")]
        for account, password in wrong:
            with pytest.raises(accounts.SignInFailed) as refusal:
                accounts.sign_in(session, account=account, password=password)
            assert str(refusal.value) == "The account or the password is wrong."
        accounts.disable(session, account="bob", now=now)
    with database.write() as session:
        with pytest.raises(accounts.AccountDisabled):
            accounts.sign_in(session, account="bob", password=GOOD)
        with pytest.raises(accounts.SignInFailed):
            accounts.sign_in(session, account="bob", password="not the password")


def test_a_hash_of_weaker_parameters_is_renewed_at_the_next_sign_in(database: Database, now: datetime) -> None:
    make(database, now, "alice")
    weak = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(GOOD)
    with database.write() as session:
        session.execute(update(StaffAccount).values(password_hash=weak))
    for _again in range(2):
        with database.write() as session:
            accounts.sign_in(session, account="alice", password=GOOD)
    with database.read() as session:
        stored = session.scalars(select(StaffAccount.password_hash)).one()
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert not accounts.HASHER.check_needs_rehash(stored)


def test_an_unknown_account_costs_the_same_work_as_a_known_one() -> None:
    assert not accounts.HASHER.check_needs_rehash(accounts.NOBODY)


def test_no_password_is_kept_in_the_clear(database: Database, now: datetime) -> None:
    make(database, now, "alice")
    with database.read() as session:
        assert GOOD not in session.scalars(select(StaffAccount.password_hash)).one()


def test_a_new_password_ends_the_old_one(database: Database, now: datetime) -> None:
    make(database, now, "alice")
    with database.write() as session:
        accounts.set_password(session, account="alice", password="another-one-26")
    with database.write() as session:
        with pytest.raises(accounts.SignInFailed):
            accounts.sign_in(session, account="alice", password=GOOD)
        assert accounts.sign_in(session, account="alice", password="another-one-26").account == "alice"
        with pytest.raises(accounts.AccountUnknown):
            accounts.set_password(session, account="carol", password=GOOD)


def test_an_account_name_stands_once(database: Database, now: datetime) -> None:
    make(database, now, "alice")
    with pytest.raises(accounts.AccountTaken):
        make(database, now, " alice ", "viewer")


def test_nobody_disables_the_last_administrator(database: Database, now: datetime) -> None:
    make(database, now, "alice")
    make(database, now, "bob")
    make(database, now, "carol", "operator")
    with database.write() as session:
        accounts.disable(session, account="carol", now=now)
        accounts.disable(session, account="alice", now=now)
        accounts.disable(session, account="alice", now=now.replace(year=2027))
        with pytest.raises(accounts.LastAdministrator):
            accounts.disable(session, account="bob", now=now)
        with pytest.raises(accounts.AccountUnknown):
            accounts.disable(session, account="dave", now=now)
    with database.read() as session:
        assert accounts.find(session, "alice").disabled_at == now
        assert accounts.find(session, "bob").disabled_at is None


def test_an_odd_account_name_is_refused(database: Database, now: datetime) -> None:
    for account in ("", " ", "a b", "a/b", "os:root", "a" * 65, "a\nb", "=1+1", "ａlice", "é"):
        with pytest.raises(accounts.AccountNameInvalid):
            make(database, now, account)


def test_a_password_that_is_easily_guessed_is_refused(database: Database, now: datetime) -> None:
    cases = {
        "": accounts.PasswordTooShort,
        "九个字的密码不够长": accounts.PasswordTooShort,
        "1234567890": accounts.PasswordObvious,
        "PassWord123": accounts.PasswordObvious,
        "ababababab": accounts.PasswordObvious,
        "Wang.Jianguo": accounts.PasswordObvious,
        "x1y2z3" * 200: accounts.PasswordTooLong,
    }
    for password, refusal in cases.items():
        with pytest.raises(refusal):
            make(database, now, "wang.jianguo", password=password)


def test_an_unknown_role_and_a_short_phone_are_refused(database: Database, now: datetime) -> None:
    with pytest.raises(accounts.RoleUnknown, match="viewer, operator, approver, administrator"), database.write() as session:
        accounts.add(session, account="alice", role="boss", password=GOOD, now=now)
    with pytest.raises(accounts.StaffPhoneInvalid), database.write() as session:
        accounts.add(session, account="alice", role="administrator", password=GOOD, phone="13800138000", now=now)


def test_a_failed_sign_in_is_the_kind_that_the_doorways_know() -> None:
    assert issubclass(accounts.SignInFailed, NotSignedIn)
    assert accounts.SignInFailed.status == 401

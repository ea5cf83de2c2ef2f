"""Staff accounts: make one, sign in with it, change its password, close it; passwords are kept as Argon2id hashes."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from argon2 import PasswordHasher, profiles
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from outreach.database.tables import ROLES, StaffAccount
from outreach.errors import BadInput, NotFound, NotSignedIn, Refused

HASHER: Final = PasswordHasher.from_parameters(profiles.RFC_9106_LOW_MEMORY)
"""RFC 9106 section 4, second recommended option: 64 MiB, 3 passes. Raise these, and each hash is renewed at its owner's next sign-in."""
NOBODY: Final = "$argon2id$v=19$m=65536,t=3,p=4$0Yc1Zkr20fbvy94oKW4/4A$VXEmVYH1qdeEGayf6UxRQwlu1IMdvMHLok/4NO8SYis"
"""The hash of a password that nobody has: an unknown account costs as much work as a known one, so names cannot be probed."""
NAME: Final = re.compile(r"[0-9A-Za-z_.\-\u3400-\u4dbf\u4e00-\u9fff]{1,64}")
PHONE: Final = re.compile(r"(\+[1-9][0-9]{6,14})?")
SHORTEST: Final = 10
LONGEST: Final = 1024
FEWEST_DIFFERENT: Final = 4
OBVIOUS: Final = frozenset(
    {
        "0123456789",
        "1234567890",
        "12345678910",
        "9876543210",
        "123456789a",
        "a123456789",
        "abc1234567",
        "abcd123456",
        "abcdefghij",
        "qq123456789",
        "1q2w3e4r5t",
        "1qaz2wsx3edc",
        "qwertyuiop",
        "qwerty12345",
        "asdfghjkl1",
        "password12",
        "password123",
        "password1234",
        "passw0rd123",
        "p@ssw0rd123",
        "admin12345",
        "admin123456",
        "administrator",
        "woaini1314",
        "woaini520520",
        "iloveyou1314",
        "5201314520",
        "changeme123",
        "letmein1234",
        "welcome123",
    }
)


class AccountNameInvalid(BadInput):
    """{account} cannot be an account name: use up to 64 letters, digits, Chinese characters, - _ and dots."""


class RoleUnknown(BadInput):
    """There is no role {role}; choose one of: {roles}."""


class StaffPhoneInvalid(BadInput):
    """The phone of account {account} must be written with its country code, such as +8613800138000."""


class PasswordTooShort(BadInput):
    """The password has fewer than {shortest} characters."""


class PasswordTooLong(BadInput):
    """The password has more than {longest} characters."""


class PasswordObvious(BadInput):
    """The password is too easy to guess: it is the account name, a well-known password, or the same few characters."""


class AccountTaken(Refused):
    """There is already an account {account}."""


class FirstMustBeAdministrator(Refused):
    """The first account must be an administrator: outreach staff add {account} --role administrator"""


class LastAdministrator(Refused):
    """{account} is the last administrator; make another one first: outreach staff add ACCOUNT --role administrator"""


class AccountUnknown(NotFound):
    """There is no account {account}; see: outreach staff list"""


class SignInFailed(NotSignedIn):
    """The account or the password is wrong."""


class AccountDisabled(NotSignedIn):
    """Account {account} is disabled; an administrator can say why."""


@dataclass(frozen=True, slots=True)
class Account:
    """A member of staff. `town` is the town whose staff he is, empty for the whole office; `phone` is E.164 or empty."""

    id: int
    account: str
    role: str
    town: str = ""
    phone: str = ""
    disabled_at: datetime | None = None


def sign_in(session: Session, *, account: str, password: str) -> Account:
    """Return the account whose password this is; call it in a transaction that writes, because an old hash is renewed.

    Raises SignInFailed, alike for an unknown account and a wrong password, and AccountDisabled to one who knew the password.
    """
    found = _row(session, account)
    stored = found.password_hash if found else NOBODY
    if not _matches(stored, password) or found is None:
        raise SignInFailed()
    if found.disabled_at is not None:
        raise AccountDisabled(account=found.account)
    if HASHER.check_needs_rehash(stored):
        found.password_hash = HASHER.hash(_plain(password))
    return _account(found)


def first(session: Session) -> bool:
    """Whether there is no account yet: the first one is made without signing in, and is an administrator."""
    return session.scalar(select(StaffAccount.id).limit(1)) is None


def add(session: Session, *, account: str, role: str, password: str, town: str = "", phone: str = "", now: datetime) -> Account:
    """Make an account. Raises AccountNameInvalid, RoleUnknown, Password…, AccountTaken and FirstMustBeAdministrator."""
    name = require_good(account, password)
    if role not in ROLES:
        raise RoleUnknown(role=role, roles=", ".join(ROLES))
    if not PHONE.fullmatch(phone):
        raise StaffPhoneInvalid(account=name)
    if role != "administrator" and first(session):
        raise FirstMustBeAdministrator(account=name)
    if _row(session, name) is not None:
        raise AccountTaken(account=name)
    made = StaffAccount(account=name, role=role, town=town.strip(), phone=phone, password_hash=HASHER.hash(_plain(password)), created_at=now)
    session.add(made)
    try:
        session.flush()
    except IntegrityError as error:
        raise AccountTaken(account=name) from error
    return _account(made)


def listing(session: Session) -> Sequence[Account]:
    """Return all accounts by name, the disabled ones too."""
    rows = session.scalars(select(StaffAccount).order_by(StaffAccount.account))
    return [_account(row) for row in rows]


def find(session: Session, account: str) -> Account:
    """Return an account by its name; raise AccountUnknown."""
    return _account(_known(session, account))


def set_password(session: Session, *, account: str, password: str) -> None:
    """Give an account a new password; its owner, or an administrator, asked for it."""
    row = _known(session, account)
    _require_strong(row.account, password)
    row.password_hash = HASHER.hash(_plain(password))
    session.flush()


def disable(session: Session, *, account: str, now: datetime) -> None:
    """Close an account for good; nothing it did is lost. Raises AccountUnknown and LastAdministrator; doing it again changes nothing."""
    row = _known(session, account)
    # All administrators are locked, in one order: two of them disabling each other at the same moment must not both succeed.
    administrators = session.scalars(
        select(StaffAccount.id).where(StaffAccount.role == "administrator", StaffAccount.disabled_at.is_(None)).order_by(StaffAccount.id).with_for_update()
    ).all()
    if list(administrators) == [row.id]:
        raise LastAdministrator(account=row.account)
    session.execute(update(StaffAccount).where(StaffAccount.id == row.id, StaffAccount.disabled_at.is_(None)).values(disabled_at=now))


def _row(session: Session, account: str) -> StaffAccount | None:
    return session.scalar(select(StaffAccount).where(StaffAccount.account == account.strip()))


def _known(session: Session, account: str) -> StaffAccount:
    row = _row(session, account)
    if row is None:
        raise AccountUnknown(account=account)
    return row


def _account(row: StaffAccount) -> Account:
    return Account(row.id, row.account, row.role, row.town, row.phone, row.disabled_at)


def _name(account: str) -> str:
    name = account.strip()
    if not NAME.fullmatch(name):
        raise AccountNameInvalid(account=repr(account[:80]))
    return name


def require_good(account: str, password: str) -> str:
    """Return the account's name as it will be kept. Raises AccountNameInvalid and Password… for what could not be made an account."""
    name = _name(account)
    _require_strong(name, password)
    return name


def _require_strong(account: str, password: str) -> None:
    plain = _plain(password)
    if len(plain) < SHORTEST:
        raise PasswordTooShort(shortest=SHORTEST)
    if len(plain) > LONGEST:
        raise PasswordTooLong(longest=LONGEST)
    if plain.casefold() in OBVIOUS | {account.casefold()} or len(set(plain)) < FEWEST_DIFFERENT:
        raise PasswordObvious()


def _plain(password: str) -> str:
    """Compose characters (RFC 8265 section 4.2), so that the same password from two keyboards is the same."""
    return unicodedata.normalize("NFC", password)


def _matches(stored: str, password: str) -> bool:
    try:
        return HASHER.verify(stored, _plain(password)[:LONGEST])
    except (VerificationError, InvalidHashError):
        return False

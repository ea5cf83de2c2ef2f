"""Which enterprise and which contact a row speaks of, and what it changes: decided in memory, row after row, without a database.

Identity of an enterprise is its credit code, else its name and town. A row with a code finds the enterprise of the same name and town that
had none; a row without a town finds the only enterprise of its name. Identity of a contact inside an enterprise is the phone, else the name.

A list may contradict itself. What it says first counts: every field of an enterprise or contact is *claimed* by the first row that fills
it, and later rows of the same list leave it alone. So a list that is read a second time finds everything as it left it. A row is refused as a
conflict where leaving it alone would hide a mistake: one code with two names, or rows without a code that could mean two enterprises.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from outreach.contacts.cleaning import Unclean
from outreach.contacts.entries import Entry, Person

ENTERPRISE_VALUES = ("name", "town", "village", "department", "industry", "scale", "above_scale", "address")
CLAIM = {name: 1 << n for n, name in enumerate(ENTERPRISE_VALUES)}
WITHOUT_CODE = 1 << len(CLAIM)
"""A row without a code, but with a town, spoke of it: it must stay the only enterprise that such a row can mean."""
WITHOUT_TOWN = WITHOUT_CODE << 1
"""So did a row with a name only."""
CONTACT_VALUES = ("name", "phone", "role", "wechat", "note", "rank")
CONTACT_CLAIM = {name: 1 << n for n, name in enumerate(CONTACT_VALUES)}
_NOTHING_KNOWN: dict[str, Any] = {name: None if name == "above_scale" else "" for name in ENTERPRISE_VALUES}
NAME_ONLY = 1 << len(CONTACT_CLAIM)
PHONE_ONLY = NAME_ONLY << 1


@dataclass(slots=True)
class Contact:
    """A contact as the database has it, or will."""

    id: int
    name: str
    phone: str
    role: str
    wechat: str
    note: str
    rank: int
    revision: int = 1
    erased: bool = False
    claimed: int = 0
    before: tuple[str, str] | None = None
    """Name and phone as they stand in the database; none for a new contact."""
    changed: bool = False

    def values(self) -> tuple[str, str, str, str, str, int]:
        """Return what CONTACT_VALUES names."""
        return self.name, self.phone, self.role, self.wechat, self.note, self.rank


@dataclass(slots=True)
class Enterprise:
    """An enterprise as the database has it, or will."""

    id: int
    credit_code: str | None
    values: dict[str, Any]
    contacts: list[Contact] = field(default_factory=list)
    claimed: int = 0
    new: bool = False
    changed: bool = False


class Claims:
    """What the rows of one list have claimed so far, two bytes an id: flat enough for millions."""

    PAGE = 4096

    def __init__(self) -> None:
        self._pages: dict[int, array[int]] = {}

    def get(self, number: int) -> int:
        """Return the claims on a row of the database."""
        page = self._pages.get(number // self.PAGE)
        return page[number % self.PAGE] if page else 0

    def put(self, number: int, bits: int) -> None:
        """Keep the claims on a row of the database."""
        page = self._pages.setdefault(number // self.PAGE, array("H"))
        if not page:
            page.extend([0] * self.PAGE)
        page[number % self.PAGE] = bits


class Slice:
    """The part of the directory that some rows can touch: enterprises with one of their codes or names."""

    def __init__(self, enterprises: Iterable[Enterprise]) -> None:
        self.enterprises = list(enterprises)
        self._by_code = {enterprise.credit_code: enterprise for enterprise in self.enterprises if enterprise.credit_code}
        self._by_name: dict[str, list[Enterprise]] = {}
        for enterprise in self.enterprises:
            self._by_name.setdefault(enterprise.values["name"], []).append(enterprise)

    def apply(self, entry: Entry) -> str:
        """Let one row in; return `added`, `updated` or `unchanged`. Raises Unclean("conflict"), having changed nothing."""
        enterprise = self._find(entry) or self._create(entry)
        created, changed = enterprise.new and not enterprise.claimed, self._fill(enterprise, entry)
        outcomes = [_put(enterprise, person) for person in entry.people]
        if created or "added" in outcomes:
            return "added"
        return "updated" if changed or "updated" in outcomes else "unchanged"

    def _find(self, entry: Entry) -> Enterprise | None:
        """Return the enterprise that a row speaks of, none if it is new."""
        town = entry.values.get("town", "")
        enterprise = self._by_code.get(entry.credit_code)
        if enterprise is not None:
            self._refuse_renaming(enterprise, entry.name, town)
        else:
            enterprise = self._named(entry.name, town, with_code=bool(entry.credit_code))
        if enterprise is None:
            self._refuse_twin(entry.name, town, None)
        else:
            _refuse_second_meaning(enterprise, entry.people)
        return enterprise

    def _named(self, name: str, town: str, *, with_code: bool) -> Enterprise | None:
        """Return the enterprise of a name and town; where one side knows no town, the only one of that name."""
        named = self._by_name.get(name, ())
        possible = [other for other in named if not (with_code and other.credit_code)]
        exact = [other for other in possible if town and other.values["town"] == town]
        if len(exact) == 1:
            return exact[0]
        loose = [other for other in possible if not (town and other.values["town"])]
        if not exact and len(named) == len(loose) == 1:
            return loose[0]
        if (exact or loose) and not with_code:
            raise Unclean("conflict")
        return None

    def _refuse_renaming(self, enterprise: Enterprise, name: str, town: str) -> None:
        """A new name under a known code is news, unless this very list gave another name before."""
        if name != enterprise.values["name"]:
            if enterprise.claimed & CLAIM["name"]:
                raise Unclean("conflict")
            self._refuse_twin(name, town or enterprise.values["town"], enterprise)
        elif town and town != enterprise.values["town"] and not enterprise.claimed & CLAIM["town"]:
            self._refuse_twin(name, town, enterprise)

    def _refuse_twin(self, name: str, town: str, but: Enterprise | None) -> None:
        """No second enterprise may come under a name by which an earlier row of this list, without a code, meant the only one."""
        for other in self._by_name.get(name, ()):
            same_town = town and other.values["town"] == town
            if other is not but and (other.claimed & WITHOUT_TOWN or (other.claimed & WITHOUT_CODE and same_town)):
                raise Unclean("conflict")

    def _create(self, entry: Entry) -> Enterprise:
        values = {**_NOTHING_KNOWN, "name": entry.name}
        enterprise = Enterprise(0, None, values, new=True)
        self.enterprises.append(enterprise)
        self._by_name.setdefault(entry.name, []).append(enterprise)
        return enterprise

    def _fill(self, enterprise: Enterprise, entry: Entry) -> bool:
        """Bring a row's values into an enterprise and claim them; return whether anything changed."""
        before, claimed, values = enterprise.values["name"], enterprise.claimed, enterprise.values
        news = entry.values
        if claimed or not enterprise.new:
            news = {name: value for name, value in news.items() if values[name] != value and not claimed & CLAIM[name]}
        values.update(news)
        changed = bool(news)
        claimed |= _claims_of(tuple(entry.values))
        if not entry.credit_code:
            claimed |= WITHOUT_CODE if "town" in entry.values else WITHOUT_TOWN
        elif enterprise.credit_code is None:
            enterprise.credit_code = entry.credit_code
            self._by_code[entry.credit_code] = enterprise
            changed = True
        if values["name"] != before:
            self._by_name[before].remove(enterprise)
            self._by_name.setdefault(values["name"], []).append(enterprise)
        enterprise.claimed = claimed
        enterprise.changed = enterprise.changed or changed
        return changed


@lru_cache(maxsize=1024)
def _claims_of(names: tuple[str, ...]) -> int:
    """Return the claims of a row that fills these fields; a list knows few such patterns."""
    return sum(CLAIM[name] for name in names)


def _refuse_second_meaning(enterprise: Enterprise, people: Sequence[Person]) -> None:
    """No contact may take on the name (phone) by which this list, giving nothing else, meant another one."""
    vague = [contact for contact in enterprise.contacts if contact.claimed & (NAME_ONLY | PHONE_ONLY)]
    if not vague and len(people) < 2:
        return
    for person in people:
        contact = _match(enterprise, person) if person.name and person.phone else None
        if contact is None:
            continue
        others = [other for other in vague if other is not contact]
        names = {other.name for other in others if other.claimed & NAME_ONLY} | {other.name for other in people if not other.phone}
        phones = {other.phone for other in others if other.claimed & PHONE_ONLY} | {other.phone for other in people if not other.name}
        if (contact.name != person.name and person.name in names) or (contact.phone != person.phone and person.phone in phones):
            raise Unclean("conflict")


def _match(enterprise: Enterprise, person: Person) -> Contact | None:
    """Return the contact that a row means: the same name and phone, else the same phone, else the same name.

    One that this list has claimed already under another name or phone is another person. Older contacts come first, so that contacts
    which later rows add do not change what an earlier row means.
    """
    name, phone = person.name, person.phone
    by_phone = by_name = None
    for contact in enterprise.contacts:
        if contact.name == name and contact.phone == phone:
            return contact
        if contact.erased:
            continue
        if by_phone is None and phone and contact.phone == phone and not (name and contact.claimed & CONTACT_CLAIM["name"]):
            by_phone = contact
        if by_name is None and name and contact.name == name and not (phone and contact.claimed & CONTACT_CLAIM["phone"]):
            by_name = contact
    return by_phone or by_name


def _put(enterprise: Enterprise, person: Person) -> str:
    """Bring one person of a row into an enterprise; return `added`, `updated` or `unchanged`."""
    contact = _match(enterprise, person)
    if contact is None:
        rank = person.rank
        if rank is None:
            rank = max(other.rank for other in enterprise.contacts) + 1 if enterprise.contacts else 0
        contact = Contact(0, person.name, person.phone, person.role, person.wechat, person.note, rank)
        enterprise.contacts.append(contact)
        _claim(contact, person)
        return "added"
    if contact.erased:
        return "unchanged"
    changed = []
    if person != contact.values():
        changed = [name for name in CONTACT_VALUES if _differs(contact, person, name)]
        for name in changed:
            setattr(contact, name, getattr(person, name))
    if "name" in changed or "phone" in changed:
        contact.revision += 1
    _claim(contact, person)
    contact.changed = contact.changed or bool(changed)
    return "updated" if changed else "unchanged"


def _differs(contact: Contact, person: Person, name: str) -> bool:
    value = getattr(person, name)
    return value not in ("", None) and value != getattr(contact, name) and not contact.claimed & CONTACT_CLAIM[name]


def _claim(contact: Contact, person: Person) -> None:
    name, phone, role, wechat, note, rank = person
    contact.claimed |= _claims_of_person(not name, not phone, not role, not wechat, not note, rank is None)


@cache
def _claims_of_person(*missing: bool) -> int:
    """Return the claims of a person by which of CONTACT_VALUES a row leaves out."""
    claims = sum(bit for bit, left_out in zip(CONTACT_CLAIM.values(), missing, strict=True) if not left_out)
    return claims | (PHONE_ONLY if missing[0] else 0) | (NAME_ONLY if missing[1] else 0)

"""The law of merging, on many small lists: what a list says, it says again in vain."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from outreach.contacts.cleaning import Unclean
from outreach.contacts.entries import Entry, Person
from outreach.contacts.merging import Claims, Contact, Enterprise, Slice

PEOPLE = st.builds(
    Person,
    name=st.sampled_from(["", "张三", "李四"]),
    phone=st.sampled_from(["", "+8613800138001", "+8613800138002"]),
    role=st.sampled_from(["", "总经理", "厂长"]),
    rank=st.sampled_from([None, None, 0, 1]),
).filter(lambda person: bool(person.name or person.phone))


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    said = {
        "name": draw(st.sampled_from(["甲厂", "乙厂"])),
        "town": draw(st.sampled_from(["", "逍林镇", "桥头镇"])),
        "address": draw(st.sampled_from(["", "一号", "二号"])),
    }
    code = draw(st.sampled_from(["", "C1", "C2"]))
    return Entry(0, said["name"], code, {key: value for key, value in said.items() if value}, draw(st.lists(PEOPLE, max_size=2)))


def stored(directory: Slice) -> list[Enterprise]:
    """The directory as the next list finds it."""

    def contact(one: Contact, number: int) -> Contact:
        return Contact(number, *one.values(), revision=one.revision, before=(one.name, one.phone))

    return [
        Enterprise(number, one.credit_code, dict(one.values), [contact(person, place) for place, person in enumerate(one.contacts)])
        for number, one in enumerate(directory.enterprises, 1)
    ]


def brought(directory: Slice, rows: list[Entry]) -> list[str]:
    outcomes = []
    for row in rows:
        try:
            outcomes.append(directory.apply(row))
        except Unclean as refused:
            outcomes.append(refused.reason)
    return outcomes


def seen(directory: Slice) -> list[Any]:
    return [(one.credit_code, one.values, [(person.values(), person.revision) for person in one.contacts]) for one in directory.enterprises]


@given(st.lists(entries(), max_size=6))
def test_a_list_without_contradictions_changes_nothing_the_second_time(rows: list[Entry]) -> None:
    directory = Slice([])
    first = brought(directory, rows)
    again = Slice(stored(directory))
    second = brought(again, rows)
    if "conflict" not in first:
        assert set(second) <= {"unchanged"}
        assert seen(again) == seen(directory)


@given(st.lists(entries(), max_size=6), st.lists(entries(), max_size=6))
def test_what_the_database_holds_unique_stays_unique(before: list[Entry], rows: list[Entry]) -> None:
    directory = Slice([])
    brought(directory, before)
    directory = Slice(stored(directory))
    brought(directory, rows)
    codes = [one.credit_code for one in directory.enterprises if one.credit_code]
    unnumbered = [(one.values["name"], one.values["town"]) for one in directory.enterprises if not one.credit_code]
    people = [(place, person.name, person.phone) for place, one in enumerate(directory.enterprises) for person in one.contacts]
    for keys in (codes, unnumbered, people):
        assert len(keys) == len(set(keys))


@given(st.lists(entries(), max_size=6), st.lists(entries(), max_size=6))
def test_a_refused_row_has_changed_nothing(before: list[Entry], rows: list[Entry]) -> None:
    directory = Slice([])
    brought(directory, before)
    for row in rows:
        known = [(code, dict(values), people) for code, values, people in seen(directory)]
        if brought(directory, [row]) == ["conflict"]:
            assert seen(directory) == known


@given(st.dictionaries(st.integers(0, 10**9), st.integers(1, 2**14)))
def test_claims_are_kept_by_number(claimed: dict[int, int]) -> None:
    claims = Claims()
    for number, bits in claimed.items():
        claims.put(number, bits)
    assert {number: claims.get(number) for number in claimed} == claimed
    assert claims.get(10**9 + 1) == 0

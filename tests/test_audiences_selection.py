"""Who an audience selects: the same on both databases, and what a plain reading of the expression says."""

import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from outreach.audiences import conditions, segments, selection
from outreach.audiences.conditions import judged, selected_enterprise_ids
from outreach.audiences.errors import AudienceNotYet, AudienceTooLarge
from outreach.audiences.language import parse
from outreach.audiences.tree import And, Compare, Everybody, Has, In, Like, Not, Or, Signed, Tree
from outreach.contacts import directory, postal
from outreach.database.engine import Database
from outreach.database.pledge_tables import SIGNATURE_STATES, Signature
from outreach.database.tables import Address, Contact, Enterprise, PledgeVersion
from outreach.database.wechat_tables import Binding, Follower

NOON = datetime(2026, 1, 15, 4, 0, tzinfo=UTC)
TEXTS = ("", "a", "A", "ab", "b", "é", "É", "业", "鞋业", "a_b", "a%b", "*", "\\", "!", "10", "9", "😀", "〇", "'")
PHONES = ("", "+8613800138000", "+8613900139000", "+85251234567")
CODES = (None, "91330282MA2AAAAA01", "91330282MA2AAAAA02", "91330282MA2AAAAA03")
TEXT_FIELDS = ("name", "town", "village", "department", "industry", "scale", "address", "contact", "role")
FACTS = ("signed", "declined", "opened")
PLEDGES = ("no-arrears-2026", "no-arrears-2025", "安薪")

# --- the plain reading, which shares nothing with the product ---


def matches(tree: Tree, row: Mapping[str, Any]) -> bool:
    """Judge one enterprise with one contact; `row` holds every field as staff see it, "" or None where it is missing."""
    match tree:
        case Everybody():
            return True
        case And(terms):
            return all(matches(term, row) for term in terms)
        case Or(terms):
            return any(matches(term, row) for term in terms)
        case Not(term):
            return not matches(term, row)
        case Has(channel):
            return bool(row[f"has_{channel}"])
        case In(field, values):
            return any(compare(field, "=", value, row) for value in values)
        case Signed(pledge):
            return pledge in row["signed_pledges"]
        case Compare(field, operator, value):
            return compare(field, operator, value, row)
        case Like(field, pattern):
            return bool(row[field]) and bool(re.fullmatch(as_regex(as_seen(field, pattern)), row[field], re.IGNORECASE | re.ASCII | re.DOTALL))
    raise AssertionError(tree)


def compare(field: str, operator: str, value: str | bool, row: Mapping[str, Any]) -> bool:
    mine = "" if row[field] is None else row[field]
    value = as_seen(field, value)
    if operator == "=":
        return mine == value
    if operator == "!=":
        return mine != value
    if mine == "":
        return False
    return {"<": mine < value, "<=": mine <= value, ">": mine > value, ">=": mine >= value}[operator]


def as_seen(field: str, value: Any) -> Any:
    if field == "phone":
        return value[3:] if value.startswith("+86") else value
    return value.upper() if field == "credit_code" else value


def as_regex(pattern: str) -> str:
    def piece(match: re.Match[str]) -> str:
        return ".*" if match[0] in "*%" else re.escape(match[0][1:] if len(match[0]) == 2 else match[0])

    return re.sub(r"\\[*%\\]|.", piece, pattern, flags=re.DOTALL)


# --- people ---

contacts = st.fixed_dictionaries(
    {
        "name": st.sampled_from(TEXTS),
        "role": st.sampled_from(TEXTS),
        "phone": st.sampled_from(PHONES),
        "bound": st.sampled_from(["", "openid1", "openid2", "ended", "phone changed", "left"]),
        "erased_at": st.sampled_from([None, None, NOON]),
    }
)
enterprises = st.fixed_dictionaries(
    {
        **{field: st.sampled_from(TEXTS) for field in TEXT_FIELDS if field not in ("contact", "role")},
        "credit_code": st.sampled_from(CODES),
        "above_scale": st.sampled_from([None, True, False]),
        "outcome": st.sampled_from([None, "signed", "declined", "withdrawn"]),
        "closed_at": st.sampled_from([None, None, NOON]),
        "opened_at": st.sampled_from([None, NOON]),
        "signatures": st.lists(st.tuples(st.sampled_from(PLEDGES), st.sampled_from(SIGNATURE_STATES)), max_size=3, unique_by=lambda pair: pair[0]),
        "contacts": st.lists(contacts, max_size=3, unique_by=lambda contact: (contact["name"], contact["phone"])),
    }
)
counties = st.tuples(
    st.lists(enterprises, max_size=5, unique_by=(lambda each: each["credit_code"] or object(), lambda each: (each["name"], each["town"]))),
    st.frozensets(
        st.one_of(
            st.tuples(st.sampled_from(["sms", "wechat"]), st.sampled_from([*PHONES[1:], "openid1", "openid2"]), st.booleans()),
            st.tuples(st.just("letter"), st.builds(postal.written, st.sampled_from(TEXTS[1:]), st.sampled_from(TEXTS)), st.booleans()),
        ),
        max_size=6,
    ),
)

text_values = st.one_of(st.sampled_from(TEXTS), st.text("aAbé业_%*\\!10", max_size=4))
patterns = st.one_of(text_values, st.sampled_from(["*", "%", "*a*", "A*", "*业", "\\*", "a\\%b", "a_b", "*_*", "**a**", "\\", "\\\\", "*É*", "*10"]))
operators = st.sampled_from(["=", "!=", "<", "<=", ">", ">="])
phone_values = st.sampled_from(["", "13800138000", "+8613900139000", "+85251234567", "138", "5"])
code_values = st.sampled_from(["", "91330282MA2AAAAA01", "91330282ma2aaaaa02", "9"])
leaves = st.one_of(
    st.builds(Compare, st.sampled_from(TEXT_FIELDS), operators, text_values),
    st.builds(In, st.sampled_from(TEXT_FIELDS), st.lists(text_values, min_size=1, max_size=4).map(tuple)),
    st.builds(Like, st.sampled_from(TEXT_FIELDS), patterns),
    st.builds(Compare, st.just("phone"), operators, phone_values),
    st.builds(In, st.just("phone"), st.lists(phone_values, min_size=1, max_size=3).map(tuple)),
    st.builds(Like, st.just("phone"), st.sampled_from(["138*", "+86139%", "*8000", "+852*"])),
    st.builds(Compare, st.just("credit_code"), operators, code_values),
    st.builds(Like, st.just("credit_code"), st.sampled_from(["*ma2*", "91330282MA2AAAAA0%"])),
    st.builds(Compare, st.just("above_scale"), st.sampled_from(["=", "!="]), st.sampled_from([True, False, ""])),
    st.builds(In, st.just("above_scale"), st.lists(st.sampled_from([True, False, ""]), min_size=1, max_size=3).map(tuple)),
    st.builds(Compare, st.sampled_from(FACTS), st.sampled_from(["=", "!="]), st.sampled_from([True, False, ""])),
    st.builds(Has, st.sampled_from(["sms", "wechat", "letter"])),
    st.builds(Signed, st.sampled_from([*PLEDGES, "no-arrears-2024"])),
    st.just(Everybody()),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


def settle(session: Session, county: Sequence[dict[str, Any]], suppressed: Any) -> None:
    """Write a county into the database; enterprises are numbered from 1, contacts 10, 11, …, 20, …"""
    stamp = {"created_at": NOON, "updated_at": NOON}
    texts = {"number": 1, "title": "", "source": "", "letter": "", "privacy": "", "fields": {}, "made_at": NOON}
    session.execute(insert(PledgeVersion), [{"id": key, "pledge": pledge, "digest": pledge, **texts} for key, pledge in enumerate(PLEDGES, start=1)])
    for number, each in enumerate(county, start=1):
        values = {key: value for key, value in each.items() if key not in ("contacts", "signatures")}
        session.execute(insert(Enterprise), [{"id": number, **values, **stamp}])
        for pledge, state in each.get("signatures", ()):
            session.execute(insert(Signature), [signature(number, pledge, state)])
        if each["contacts"]:
            keys = range(number * 10, number * 10 + len(each["contacts"]))
            people = [{**person, "id": key, "enterprise_id": number, **stamp} for key, person in zip(keys, each["contacts"], strict=True)]
            session.execute(insert(Contact), [{column: value for column, value in person.items() if column != "bound"} for person in people])
            for person in people:
                bind(session, person)
    session.execute(insert(Follower), [{"openid": openid, "follows": openid != "left"} for openid in ("openid1", "openid2", "ended", "phone changed", "left")])
    for (channel, value), off in addresses(suppressed).items():
        session.execute(insert(Address), [{"channel": channel, "value": value, "suppressed_at": NOON if off else None}])


def bind(session: Session, person: dict[str, Any]) -> None:
    """Bind a contact's WeChat: for good, or so that it holds no more."""
    if openid := person["bound"]:
        phone = "+8613000000000" if openid == "phone changed" else person["phone"]
        row = {"openid": openid, "contact_id": person["id"], "phone": phone, "way": "oauth", "bound_at": NOON, "ended_at": NOON if openid == "ended" else None}
        session.execute(insert(Binding), [row])


def signature(enterprise: int, pledge: str, state: str) -> dict[str, Any]:
    known = {"enterprise_id": enterprise, "enterprise": "", "pledge": pledge, "version_id": PLEDGES.index(pledge) + 1, "state": state}
    return {**known, "serial": f"{enterprise} {pledge}", "way": "link", "method": "typed", "signer": "", "capacity": "principal", "signed_at": NOON}


def addresses(suppressed: Any) -> dict[tuple[str, str], bool]:
    return {(channel, value): off for channel, value, off in sorted(suppressed)}


def rows_seen(county: Sequence[dict[str, Any]], suppressed: Any) -> list[dict[str, Any]]:
    """Return the rows that are to be judged, as staff see them."""
    off = {address for address, is_off in addresses(suppressed).items() if is_off}
    rows = []
    for number, each in enumerate(county, start=1):
        stands = {pledge for pledge, state in each.get("signatures", ()) if state == "signed"}
        seen = {**each, **{fact: each["outcome"] == fact for fact in FACTS}, "signed_pledges": stands}
        seen |= {"opened": each.get("opened_at") is not None, "has_letter": gets_letters(each, off)}
        living = [(number * 10 + place, person) for place, person in enumerate(each["contacts"]) if person["erased_at"] is None]
        rows.extend({**seen, **as_staff_see(person, off), "pair": (number, contact_id)} for contact_id, person in living or [(None, None)])
    return rows


def gets_letters(each: Mapping[str, Any], off: Collection[tuple[str, str]]) -> bool:
    return each["address"] != "" and each.get("closed_at") is None and ("letter", f"{each['address']}\n{each['name']}") not in off


def as_staff_see(person: dict[str, Any] | None, off: set[tuple[str, str]]) -> dict[str, Any]:
    if person is None:
        return {"contact": "", "role": "", "phone": "", "has_sms": False, "has_wechat": False}
    return {
        "contact": person["name"],
        "role": person["role"],
        "phone": as_seen("phone", person["phone"]),
        "has_sms": person["phone"] != "" and ("sms", person["phone"]) not in off,
        "has_wechat": person["bound"].startswith("openid") and ("wechat", person["bound"]) not in off,
    }


def test_the_select_agrees_with_the_plain_reading_on_any_county(database: Database) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(counties, st.lists(trees, min_size=3, max_size=8))
    def agrees(county: Any, audiences: list[Tree]) -> None:
        with Session(database.engine) as session, closing(session):
            settle(session, *county)
            rows = rows_seen(*county)
            for tree in audiences:
                expected = {row["pair"] for row in rows if matches(tree, row)}
                found = [tuple(pair) for pair in session.execute(judged(tree))]
                assert sorted(found, key=str) == sorted(expected, key=str)
                ids = list(session.scalars(selected_enterprise_ids(tree)))
                assert sorted(ids) == sorted({enterprise for enterprise, _contact in expected})
                assert selection.count(session, tree) == {
                    "enterprises": len(ids),
                    "contacts": len([1 for _enterprise, contact in expected if contact]),
                    "by_channel": {channel: sum(row["pair"] in expected and row[f"has_{channel}"] for row in rows) for channel in ("sms", "wechat")}
                    | {"letter": len({row["pair"][0] for row in rows if row["pair"] in expected and row["has_letter"]})},
                }

    agrees()


# --- the law, case by case ---

COUNTY = [
    {
        "name": "甲鞋业有限公司",
        "credit_code": "91330282MA2AAAAA01",
        "town": "逍林镇",
        "above_scale": True,
        "address": "逍林大道1号",
        "outcome": "signed",
        "signatures": [("no-arrears-2026", "signed"), ("no-arrears-2025", "superseded")],
        "contacts": [
            {"name": "张建国", "role": "法定代表人", "phone": "+8613800138000", "bound": "", "erased_at": None},
            {"name": "李四", "role": "工资专员", "phone": "", "bound": "openid1", "erased_at": None},
        ],
    },
    {
        "name": "ABC(宁波)贸易",
        "credit_code": None,
        "town": "桥头镇",
        "above_scale": False,
        "address": "",
        "outcome": "declined",
        "contacts": [{"name": "王五", "role": "", "phone": "+8613900139000", "bound": "", "erased_at": None}],
    },
    {"name": "50%_off", "credit_code": None, "town": "", "above_scale": None, "address": "", "outcome": None, "contacts": []},
    {
        "name": "Éclair",
        "credit_code": None,
        "town": "桥头镇",
        "above_scale": None,
        "address": "",
        "outcome": "withdrawn",
        "signatures": [("no-arrears-2026", "withdrawn"), ("安薪", "pending")],
        "contacts": [{"name": "赵六", "role": "", "phone": "+8613700137000", "bound": "", "erased_at": NOON}],
    },
]


SUPPRESSED = {("sms", "+8613900139000", True), ("sms", "+8613800138000", False)}


@pytest.fixture
def county(database: Database) -> Database:
    """Four enterprises: two contacts, one suppressed contact, no contact, an erased contact."""
    with database.write() as session:
        settle(session, COUNTY, SUPPRESSED)
    return database


LAW = {
    "全部": {1, 2, 3, 4},
    "镇街 = 逍林镇": {1},
    "镇街 != 逍林镇": {2, 3, 4},
    "not 镇街 = 逍林镇": {2, 3, 4},
    '镇街 = ""': {3},
    '镇街 != ""': {1, 2, 4},
    '镇街 in ("", 逍林镇)': {1, 3},
    "镇街 not in (逍林镇)": {2, 3, 4},
    "镇街 < 逍林镇": {2, 4},
    "镇街 like *": {1, 2, 4},
    "规上": {1},
    "not 规上": {2, 3, 4},
    "规上 = 否": {2},
    "规上 != 是": {2, 3, 4},
    '规上 = ""': {3, 4},
    "规上 in (是, 否)": {1, 2},
    "已签署": {1},
    "已拒绝": {2},
    "not 已签署 and not 已拒绝": {3, 4},
    "已签署(no-arrears-2026)": {1},
    "signed(no-arrears-2025)": set(),
    "not 已签署(no-arrears-2026)": {2, 3, 4},
    "已签署(安薪) or 已签署(“no-arrears-2026”)": {1},
    "已签署(no-such-pledge)": set(),
    "企业名称 like *鞋业*": {1},
    "企业名称 like %鞋业%": {1},
    "企业名称 like 鞋业": set(),
    "企业名称 like abc*": {2},
    "企业名称 like é*": set(),
    "企业名称 like É*": {4},
    '企业名称 like "*\\%*"': {3},
    '企业名称 like "*_*"': {3},
    "企业名称 = “ＡＢＣ（宁波）贸易”": {2},
    "信用代码 = 91330282ma2aaaaa01": {1},
    "信用代码 != 91330282MA2AAAAA01": {2, 3, 4},
    "手机 = 13800138000": {1},
    "手机 = +86-138-0013-8000": {1},
    "手机 like 139*": {2},
    '手机 = ""': {1, 3, 4},
    "职务 != 法定代表人": {1, 2, 3, 4},
    "not 职务 = 法定代表人": {1, 2, 3, 4},
    '职务 = ""': {2, 3, 4},
    "联系人 != 王五": {1, 3, 4},
    "联系人 = 赵六": set(),
    "联系人 = 李四 and 职务 = 法定代表人": set(),
    "联系人 = 李四 or 职务 = 法定代表人": {1},
    "有(短信)": {1},
    "有(微信)": {1},
    "有(信函)": {1},
    'not 有(短信) and 手机 != ""': {2},
}


def test_the_law_of_audiences(county: Database) -> None:
    with county.read() as session:
        assert {text: set(session.scalars(selected_enterprise_ids(parse(text)))) for text in LAW} == LAW


@pytest.mark.parametrize("text", ["规模 < 300", "规模 >= 300", "企业名称 like abc*"])
def test_order_and_case_do_not_hang_on_the_collation_of_the_server(text: str) -> None:
    assert 'COLLATE "C"' in str(judged(parse(text)).compile(dialect=postgresql.dialect()))


@pytest.mark.parametrize("text", ["register.risk.level = 高", "attended(E1)", "已参加", "not attended"])
def test_what_a_later_part_knows_is_refused_and_not_guessed(text: str) -> None:
    with pytest.raises(AudienceNotYet, match="it comes with"):
        conditions.condition(parse(text))


LONGEST_AND_DEEPEST = [
    "(规上 or 有(短信) and " * 49 + "规上" + ")" * 49,
    "(" * 49 + "规上" + " or 有(短信) and 已签署)" * 49,
    "not " * 50 + "规上",
    "not (已签署 or not (已签署 and " * 12 + "规上" + "))" * 12,
    " or ".join(f"规模={number}" for number in range(100, 455)) + " or 规上",
    "镇街 in (" + ",".join("ab" * 995) + ")",
    "有(短信) 且 " * 360 + "规上",
]


def test_the_longest_and_deepest_audiences_are_answered(county: Database) -> None:
    rows = [{"scale": "", **row} for row in rows_seen(COUNTY, SUPPRESSED)]
    with county.read() as session:
        for text in LONGEST_AND_DEEPEST:
            tree = segments.audience(session, text)
            assert set(session.scalars(selected_enterprise_ids(tree))) == {row["pair"][0] for row in rows if matches(tree, row)}


@pytest.mark.parametrize("word", ["and", "or"])
def test_many_long_segments_at_once_are_answered(county: Database, now: datetime, word: str) -> None:
    with county.write() as session:
        for number in range(5):
            segments.save(session, f"s{number}", f" {word} ".join(f"规模!={number}{place}" for place in range(100, 400)), actor="alice", now=now)
        tree = segments.audience(session, f" {word} ".join(f"segment:s{number}" for number in range(5)))
        assert selection.count(session, tree)["enterprises"] == 4


def test_segments_in_segments_are_answered_until_they_are_too_large(county: Database, now: datetime) -> None:
    with county.write() as session:
        segments.save(session, "s0", "not (规上 or 已签署)", actor="alice", now=now)
        for number in range(1, 9):
            segments.save(session, f"s{number}", f"not (segment:s{number - 1} and segment:s{number - 1})", actor="alice", now=now)
        assert selection.count(session, segments.audience(session, "segment:s8"))["enterprises"] == 3
        with pytest.raises(AudienceTooLarge, match="2000"):
            segments.save(session, "s9", " or ".join(["segment:s8"] * 9), actor="alice", now=now)
        segments.save(session, "deep", "not " * 49 + "规上", actor="alice", now=now)
        segments.save(session, "deeper", "not " * 49 + "segment:deep", actor="alice", now=now)
        with pytest.raises(AudienceTooLarge, match="deep"):
            segments.audience(session, "not " * 49 + "segment:deeper")


def test_what_an_audience_selects_can_be_listed_page_by_page(county: Database) -> None:
    with county.read() as session:
        seen, after = [], None
        while after != "":
            page = directory.listing(session, where=conditions.condition(parse("镇街 != 桥头 or 有(短信)")), limit=2, after=after)
            seen.extend((row["enterprise_id"], row["id"]) for row in page.rows)
            after = page.next or ""
        assert seen == [(1, 10), (1, 11), (2, 20), (3, None), (4, None)]


def test_likely_slips_are_named(county: Database) -> None:
    with county.read() as session:
        assert selection.warnings(session, parse("镇街 = 逍林 or 镇街 in (桥头镇, 桥头) or 行业 = 鞋 or 规模 > 300 or 企业名称 = 无")) == [
            "nobody has 镇街 逍林; the nearest is 逍林镇",
            "nobody has 镇街 桥头; the nearest is 桥头镇",
            "nobody has 行业 鞋",
            "规模 > 300 compares text, in which 1000 comes before 300",
        ]
        assert selection.warnings(session, parse("已签署(no-arrears-2062) or 已签署(no-arrears-2026) or 已签署(x)")) == [
            "nobody was ever asked to sign no-arrears-2062; the nearest is no-arrears-2026",
            "nobody was ever asked to sign x",
        ]
        assert selection.warnings(session, parse('镇街 = 逍林镇 and 镇街 != "" and 规上 and 镇街 in (“逍　林镇”)')) == []

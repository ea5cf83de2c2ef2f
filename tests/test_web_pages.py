"""The pages that enterprises see, over plain HTTP: their weight, their safety, their words, and that they work without a script."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import messages
import pytest
from served import SIGNING, Answer, Served
from sqlalchemy import select, text, update

from outreach import clock, tokens
from outreach.database.engine import Database
from outreach.database.pledge_tables import Correction, EvidencePersonal, OneTimeCode, Refusal, Signature
from outreach.database.tables import Campaign, Recipient
from outreach.links import personal, resolving

LIGHT = 30_000
HOSTILE = """<script>alert(1)</script>"'>{{ 7*7 }}&amp;"""
INK = [[[100, 200, 0], [300, 100, 40], [500, 300, 90]], [[600, 100, 400], [620, 350, 460]]]
CREDIT_CODE = "91330282MA2A1B2C3D"


@pytest.fixture
def web(tmp_path: Path, new_sqlite: Callable[[], str]) -> Iterator[Served]:
    with Served(tmp_path, new_sqlite()) as served:
        yield served


@pytest.fixture
def web_of_either(tmp_path: Path, database: Database) -> Iterator[Served]:
    with Served(tmp_path, database.url) as served:
        yield served


def rows(web: Served, table: type[Any]) -> list[Any]:
    with web.database.read() as session:
        return list(session.scalars(select(table).order_by(table.id)))


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_page_of_a_pledge_weighs_less_than_thirty_kilobytes(web: Served, lang: str) -> None:
    guest = web.hall.guest(*(f"示例市逍林镇第{number}高新技术装备制造股份有限公司" for number in range(3)))
    page = web.get(f"{guest.page}?lang={lang}")
    assert page.status == 200
    assert "content-encoding" not in page.headers
    assert len(page.body) < LIGHT
    web.post(f"{guest.page}/sign", SIGNING | {"all": "1"})
    assert len(web.get(f"{guest.page}?lang={lang}").body) < LIGHT


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_who_signed_for_forty_enterprises_gets_a_page_as_light_and_can_withdraw_each(web: Served, lang: str) -> None:
    guest = web.hall.guest(*(f"示例市逍林镇第{number}高新技术装备制造股份有限公司" for number in range(40)))
    web.post(f"{guest.page}/sign", SIGNING | {"all": "1"})
    page = web.get(f"{guest.page}?lang={lang}")
    assert len(page.body) < LIGHT
    serials = re.findall(r"<option>(\d{4}-\d{6})</option>", page.text)
    assert len(set(serials)) == 40
    web.post(f"{guest.page}/withdraw", {"serial": serials[7], "reason": "签错单位"})
    assert serials[7] not in web.get(guest.page).text
    assert web.post(f"{web.hall.guest().page}/withdraw", {"serial": serials[8], "reason": ""}).status == 404, "nobody withdraws for another"
    assert serials[8] in web.get(guest.page).text


def everywhere(web: Served) -> list[tuple[str, Answer]]:
    guest, signed = web.hall.guest(), web.hall.guest()
    web.post(f"{signed.page}/sign", SIGNING | {"enterprise": signed.enterprise_ids[0]})
    addresses = ["/", guest.page, signed.page, "/p/unknown", f"/o/{guest.token()}"]
    return [(address, web.get(address)) for address in addresses] + [("post", web.post(f"{guest.page}/sign", {}))]


def test_nothing_is_loaded_framed_or_run_but_what_the_page_itself_brings(web: Served) -> None:
    for address, page in everywhere(web):
        policy = dict(rule.split(" ", 1) for rule in page.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'", address
        assert policy["form-action"] == "'self'"
        for tag, rule in (("style", "style-src"), ("script", "script-src")):
            for inside in re.findall(rf"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL):
                digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
                assert policy[rule] == f"'sha256-{digest}'"
        assert page.headers["referrer-policy"] == "no-referrer"
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        attributes = [(tag, name, value) for tag, given in Tags(page.text).found for name, value in given.items()]
        assert not [name for _tag, name, _value in attributes if name.startswith("on") or name in ("style", "src", "srcset")]
        assert not [value for _tag, name, value in attributes if name in ("href", "action") and not re.match(r"[/#?]", value or "")]
        assert not re.findall(r"url\(|@import|https?:", re.sub(r"[\w]+\(url\)", "", page.text))


def test_the_script_is_short_and_of_the_kind_that_an_old_phone_understands(web: Served) -> None:
    script = Path(__file__).parent.parent.joinpath("templates/web/page.js").read_text("utf-8")
    lines = [line for line in script.splitlines() if line.strip() and not line.strip().startswith("//")]
    assert len(lines) < 100
    assert not re.findall(r"=>|`|\b(?:let|const|class|async|await|for\s*\(.* of|import|export)\b|\.\.\.|\?\.|\?\?|\*\*", "\n".join(lines))
    assert not re.findall(r"\.(?:forEach|closest|matches|append|remove|includes|find|fetch|assign|padStart)\(", script)  # lists of nodes had none


def test_what_people_wrote_is_shown_and_never_run(web: Served) -> None:
    guest = web.hall.guest(HOSTILE, HOSTILE + "2", contact=HOSTILE, town=HOSTILE)
    filled = {"signer": HOSTILE, "capacity": HOSTILE, "relation": HOSTILE, "ink": HOSTILE, "enterprise": HOSTILE}
    for page in (web.get(guest.page), web.post(f"{guest.page}/sign", filled), web.post("/", {"code": HOSTILE, "digits": HOSTILE})):
        tags = Tags(page.text).found
        assert [given for tag, given in tags if tag == "script"] == [{}]
        assert "<script>alert" not in page.text
    assert HOSTILE in web.get(guest.page).words


def test_pages_speak_chinese_unless_asked_for_english(web: Served) -> None:
    guest = web.hall.guest()
    for headers, lang in (
        ({}, "zh-CN"),
        ({"Accept-Language": ""}, "zh-CN"),
        ({"Accept-Language": "fr"}, "zh-CN"),
        ({"Accept-Language": "en-US,en;q=0.9"}, "en"),
    ):
        assert web.get(guest.page, **headers).headers["content-language"] == lang
    assert web.get(guest.page, **{"Accept-Language": "en;q=0.4, zh;q=0.5"}).headers["content-language"] == "zh-CN"
    assert web.get(f"{guest.page}?lang=en").headers["content-language"] == "en"
    assert web.get(f"{guest.page}?lang=zh", **{"Accept-Language": "en"}).headers["content-language"] == "zh-CN"


def test_a_chinese_page_holds_no_english_and_an_english_one_translates_every_text(web: Served) -> None:
    english = [str(id) for id in messages.of_pages() if len(str(id)) > 3 and "{" not in str(id)]
    for _address, page in everywhere(web):
        assert not [text for text in english if f" {text} " in f" {page.words} "]
    guest = web.hall.guest()
    page = web.get(f"{guest.page}?lang=en")
    assert "A translation for information" in page.words
    assert "我单位自愿响应" in page.words  # what is signed is Chinese
    assert "How your personal information is handled" in page.words


def test_the_chosen_language_is_kept_through_a_signing(web: Served) -> None:
    guest = web.hall.guest()
    answer = web.post(f"{guest.page}/sign?lang=en", SIGNING | {"enterprise": guest.enterprise_ids[0]})
    assert (answer.status, answer.location) == (303, f"{guest.page}?lang=en&done=signed#done")
    assert "Signed, thank you" in web.get(answer.location.partition("#")[0]).words


def test_fetching_a_page_changes_nothing_and_opening_it_is_said_by_its_script(web_of_either: Served, count: Callable[[str], int]) -> None:
    web, guest = web_of_either, web_of_either.hall.guest()
    for address in (guest.page, f"/o/{guest.token()}", f"{guest.page}/sign", f"{guest.page}/opened", f"{guest.page}/decline"):
        for method in ("GET", "HEAD"):
            assert web.get(address, method).status in (200, 303)
    assert (count("recipient where opened_at is not null"), count("evidence"), count("signature"), count("refusal")) == (0, 0, 0, 0)
    for _again in range(2):
        assert web.post(f"{guest.page}/opened", b"").status == 204
    assert (count("recipient where opened_at is not null"), count("enterprise where opened_at is not null"), count("evidence")) == (1, 1, 1)
    assert 'data-opened="' not in web.get(guest.page).text


def test_a_form_sent_without_any_script_signs_and_shows_the_number(web_of_either: Served) -> None:
    web, guest = web_of_either, web_of_either.hall.guest("示例鞋业有限公司")
    answer = web.post(f"{guest.page}/sign", SIGNING | {"enterprise": guest.enterprise_ids[0], "honour": "1"}, **{"User-Agent": "old phone"})
    assert answer.status == 303
    (signature,) = rows(web, Signature)
    assert (signature.signer, signature.capacity, signature.method, signature.way, signature.checks, signature.honour) == (
        "张建国",
        "legal_representative",
        "typed",
        "link",
        [],
        True,
    )
    page = web.get(answer.location.partition("#")[0])
    assert signature.serial in page.words and "已签订" in page.words
    assert "/sign" not in page.text


def test_signing_again_from_two_tabs_and_many_taps_gives_the_first_signature_back(web_of_either: Served) -> None:
    web, guest = web_of_either, web_of_either.hall.guest()
    form = SIGNING | {"enterprise": guest.enterprise_ids[0]}
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(web.post(f"{guest.page}/sign", form).status)) for _tap in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [303] * 8
    assert len(rows(web, Signature)) == 1
    assert web.post(f"{guest.page}/sign", form | {"signer": "别的人"}).status == 303
    assert [row.signer for row in rows(web, Signature)] == ["张建国"]


def test_a_drawing_is_kept_as_strokes_with_their_time(web_of_either: Served) -> None:
    web, guest = web_of_either, web_of_either.hall.guest()
    web.post(f"{guest.page}/sign", SIGNING | {"enterprise": guest.enterprise_ids[0], "ink": json.dumps(INK)})
    (signature,) = rows(web, Signature)
    assert (signature.method, signature.ink) == ("drawn", INK)


NO_DRAWINGS = [
    "nonsense",
    '{"a": 1}',
    "[[]]",
    "[[[1, 2]]]",
    "[[[1, 2, 3, 4]]]",
    "[[[1.5, 2, 3]]]",
    "[[[true, 2, 3]]]",
    "[[[1001, 2, 3]]]",
    "[[[1, 401, 3]]]",
    "[[[1, 2, -1]]]",
    "[[[1, 2, 9]], [[1, 2, 3]]]",
    "[" * 2000,
    json.dumps([[[1, 2, 3]] * 7000]),
    json.dumps([[[10, 10, 0], [12, 11, 5]]]),
]


def test_a_drawing_that_is_none_or_too_simple_is_refused_and_the_rest_of_the_form_kept(web: Served) -> None:
    guest = web.hall.guest()
    for ink in NO_DRAWINGS:
        answer = web.post(f"{guest.page}/sign", SIGNING | {"enterprise": guest.enterprise_ids[0], "ink": ink})
        assert answer.status == 422, ink
        assert 'value="张建国"' in answer.text and "手写" in answer.words
    assert rows(web, Signature) == []


def test_a_form_that_is_not_right_comes_back_filled_in_with_a_line_by_each_field(web: Served) -> None:
    guest = web.hall.guest("甲有限公司", "乙有限公司")
    answer = web.post(f"{guest.page}/sign", {"signer": "张", "capacity": "agent", "honour": "1", "ink": json.dumps(INK)})
    assert answer.status == 422
    for name in ("enterprise", "signer", "relation", "agree"):
        assert f'id="fault-{name}"' in answer.text
        assert f'aria-describedby="fault-{name}"' in answer.text
        assert f'href="#{name}"' in answer.text
    tags = Tags(answer.text).found
    assert [given for tag, given in tags if given.get("name") == "signer" and given["value"] == "张"]
    assert [given for tag, given in tags if given.get("value") == "agent" and "checked" in given]
    assert [given for tag, given in tags if given.get("name") == "honour" and "checked" in given]
    assert [given for tag, given in tags if given.get("name") == "ink" and json.loads(given["value"] or "") == INK]
    assert rows(web, Signature) == []


def test_who_speaks_for_several_enterprises_signs_each_or_all_and_nobody_elses(web: Served) -> None:
    guest, other = web.hall.guest("甲有限公司", "乙有限公司", "丙有限公司"), web.hall.guest("丁有限公司")
    web.post(f"{guest.page}/sign", SIGNING | {"enterprise": [guest.enterprise_ids[1], other.enterprise_ids[0]]})
    assert [row.enterprise for row in rows(web, Signature)] == ["乙有限公司"]
    assert web.post(f"{guest.page}/sign", SIGNING | {"enterprise": [other.enterprise_ids[0]]}).status == 422
    page = web.get(guest.page)
    assert page.text.count('type="checkbox" name="enterprise"') == 4  # two still open, in the form to sign and in that to decline
    web.post(f"{guest.page}/sign", SIGNING | {"all": "1"})
    assert sorted(row.enterprise for row in rows(web, Signature)) == ["丙有限公司", "乙有限公司", "甲有限公司"]


def test_a_no_is_kept_with_its_reason_and_a_yes_may_follow(web: Served) -> None:
    guest = web.hall.guest()
    answer = web.post(f"{guest.page}/decline", {"enterprise": guest.enterprise_ids[0], "reason": "先\n问律师"})
    assert answer.status == 303
    assert [(row.reason, row.way) for row in rows(web, Refusal)] == [("先 问律师", "link")]
    assert "暂不签订" in web.get(answer.location.partition("#")[0]).words
    web.post(f"{guest.page}/sign", SIGNING | {"enterprise": guest.enterprise_ids[0]})
    assert [row.state for row in rows(web, Signature)] == ["signed"]


def test_what_is_wrong_with_our_list_is_kept_for_staff(web: Served) -> None:
    for kind in ("not_principal", "closed", "new_number"):
        guest = web.hall.guest()
        for _again in range(2):
            assert web.post(f"{guest.page}/correct", {"kind": kind, "detail": "李四 13900139000"}).status == 303
    assert [(row.kind, row.detail) for row in rows(web, Correction)] == [(k, "李四 13900139000") for k in ("not_principal", "closed", "new_number")]
    assert web.post(f"{guest.page}/correct", {"kind": "nonsense"}).status == 422


def test_a_signature_is_withdrawn_by_its_own_enterprise_only_and_history_stays(web: Served) -> None:
    guest, other = web.hall.guest(), web.hall.guest()
    web.post(f"{guest.page}/sign", SIGNING | {"enterprise": guest.enterprise_ids[0]})
    serial = rows(web, Signature)[0].serial
    web.post(f"{other.page}/withdraw", {"serial": serial})
    assert [row.state for row in rows(web, Signature)] == ["signed"]
    for _again in range(2):
        assert web.post(f"{guest.page}/withdraw", {"serial": serial, "reason": "误签"}).status == 303
    assert [(row.state, row.ended_reason) for row in rows(web, Signature)] == [("withdrawn", "误签")]
    assert 'action="' + guest.page + '/sign"' in web.get(guest.page).text


def test_links_that_are_unknown_expired_or_revoked_look_alike(web: Served) -> None:
    old, gone, forged = web.hall.guest(), web.hall.guest(), web.hall.guest()
    with web.database.write() as session:
        session.execute(update(Recipient).where(Recipient.id == gone.recipient_id).values(generation=2))
    answers = [web.get(f"/p/{token}") for token in (gone.token(), personal.make("ab" * 32, forged.recipient_id, 1, "link"), "x", "%00", "%C3%A9")]
    with web.database.write() as session:
        session.execute(update(Campaign).values(launched_at=clock.now() - timedelta(days=100)))
    answers.append(web.get(old.page))
    answers.append(web.post(f"{old.page}/sign", SIGNING | {"enterprise": old.enterprise_ids[0]}))
    answers.append(web.post(f"{old.page}/opened", b""))
    assert {answer.status for answer in answers} == {404}
    assert len({answer.body for answer in answers}) == 1
    assert {tuple(sorted((answer.headers | {"date": ""}).items())) for answer in answers} == {tuple(sorted((answers[0].headers | {"date": ""}).items()))}
    assert rows(web, Signature) == []


def test_a_code_and_four_digits_open_the_page_however_they_are_typed(web: Served) -> None:
    guest = web.hall.guest(phone="+8613800138000")
    for code, digits in ((guest.code, "8000"), (f" {guest.code[:3].lower()}-{guest.code[3:].lower()} ", " 80 00 "), (guest.code, "８０００")):
        answer = web.post("/", {"code": code, "digits": digits})
        assert answer.status == 303, (code, digits)
        assert answer.location == f"/p/{guest.token('code')}"
    web.post(answer.location + "/sign", SIGNING | {"enterprise": guest.enterprise_ids[0]})
    assert [(row.way, row.checks, row.review) for row in rows(web, Signature)] == [("code", ["phone_last4"], False)]


def test_an_enterprise_without_a_phone_is_known_by_its_credit_code_and_marked_for_review(web: Served) -> None:
    guest = web.hall.guest(phone="", credit_codes=[CREDIT_CODE])
    answer = web.post("/", {"code": guest.code, "digits": CREDIT_CODE[-6:].lower()})
    assert answer.status == 303
    web.post(answer.location + "/sign", SIGNING | {"enterprise": guest.enterprise_ids[0]})
    assert [(row.way, row.checks, row.review) for row in rows(web, Signature)] == [("code", ["credit_code_last6"], True)]


def test_an_unknown_code_and_wrong_digits_are_answered_alike_and_tell_nothing(web: Served) -> None:
    guest = web.hall.guest("只此一家有限公司")
    unknown = next(code for code in iter(tokens.personal_code, "") if code != guest.code)
    answers = [web.post("/", {"code": code, "digits": digits}) for code, digits in ((guest.code, "1234"), (unknown, "1234"))]
    assert [answer.status for answer in answers] == [422, 422]
    assert answers[0].text.replace(guest.code, "") == answers[1].text.replace(unknown, "")
    assert "只此一家" not in answers[0].text


def test_guessing_ends_after_five_tries_with_a_page_that_says_so(web: Served) -> None:
    guest = web.hall.guest()
    statuses = [web.post("/", {"code": guest.code, "digits": f"{number:04}"}).status for number in range(7)]
    assert statuses == [422] * 5 + [429] * 2
    late = web.post("/", {"code": guest.code, "digits": "8000"})
    assert late.status == 429
    assert "12333" in late.words and late.headers["content-type"].startswith("text/html")


def test_whoever_tries_code_after_code_is_stopped_and_finds_nothing(web: Served) -> None:
    guests = [web.hall.guest() for _number in range(3)]
    codes = [tokens.personal_code() for _try in range(30)]
    statuses = [web.post("/", {"code": code, "digits": "8000"}).status for code in codes]
    assert statuses == [422] * 20 + [429] * 10
    assert {web.post("/", {"code": guest.code, "digits": "8000"}).status for guest in guests} == {429}
    assert web.get(guests[0].page).status == 200  # a link is no guess


def test_a_character_that_no_code_has_is_answered_kindly(web: Served) -> None:
    answer = web.post("/", {"code": "7K3O9P", "digits": "8000"})
    assert answer.status == 422
    assert "签署码里没有“O”" in answer.words and 'value="7K3O9P"' in answer.text
    assert resolving.tidy("7k3o9p") == "7K3O9P"


def test_forms_that_are_too_large_or_no_forms_are_refused_with_a_page(web: Served) -> None:
    guest = web.hall.guest()
    assert web.post(f"{guest.page}/sign", b"signer=" + b"a" * 300_000).status == 413
    assert web.post(f"{guest.page}/sign", b"signer=%ff%fe").status == 422
    assert web.post(f"{guest.page}/sign", b"a=1&" * 5000).status == 422
    assert web.post(f"{guest.page}/sign", b"{}", **{"Content-Type": "application/json"}).status == 422
    assert web.get(guest.page, "DELETE").status == 405
    assert rows(web, Signature) == []


def test_names_are_tidied_and_what_turns_the_writing_around_them_goes(web: Served) -> None:
    guest = web.hall.guest()
    web.post(f"{guest.page}/sign", SIGNING | {"enterprise": guest.enterprise_ids[0], "signer": "  张\u202e建\x00\r\n国 \u200b" + "长" * 500})
    (signature,) = rows(web, Signature)
    assert signature.signer == "张建 国 " + "长" * 35


def test_with_the_switch_on_a_code_by_text_is_asked_for_and_the_evidence_says_so(tmp_path: Path, new_sqlite: Callable[[], str]) -> None:
    with Served(tmp_path, new_sqlite(), one_time_code=True) as web:
        guest = web.hall.guest()
        form = SIGNING | {"enterprise": guest.enterprise_ids[0]}
        assert "138********" in web.get(guest.page).words
        answer = web.post(f"{guest.page}/sign", form | {"one_time_code": "123456"})
        assert answer.status == 422 and 'id="fault-one_time_code"' in answer.text
        sent = web.post(f"{guest.page}/code")
        assert (sent.status, sent.location) == (303, f"{guest.page}?done=sent#done")
        assert web.post(f"{guest.page}/code").location == sent.location  # tapped again: one is on its way
        (row,) = rows(web, OneTimeCode)
        right = tokens.one_time_code(web.settings.office_key, row.nonce)
        wrong = f"{(int(right) + 1) % 1_000_000:06}"
        assert web.post(f"{guest.page}/sign", form | {"one_time_code": wrong}).status == 422
        assert rows(web, OneTimeCode)[0].tries == 1
        assert web.post(f"{guest.page}/sign", form | {"one_time_code": f"{right[:3]} {right[3:]}"}).status == 303
        assert [row.checks for row in rows(web, Signature)] == [["one_time_code"]]


def test_no_more_messages_is_asked_first_and_then_done(
    web: Served,
) -> None:
    guest = web.hall.guest(phone="+8613800138001")
    address = f"/o/{guest.token()}"
    assert "138********" in web.get(address).words
    with web.database.read() as session:
        assert resolving.resolve(session, guest.token(), settings=web.settings, now=clock.now()).phone == "+8613800138001"
    answer = web.post(address)
    assert answer.status == 200 and "138********" in answer.words


def test_whoever_reloads_the_answer_to_a_form_comes_back_to_the_page(web: Served) -> None:
    guest = web.hall.guest()
    assert web.get(f"{guest.page}/sign?lang=en").location == f"{guest.page}?lang=en"


def test_a_person_at_a_wrong_address_meets_a_page_and_a_programme_a_document(web: Served) -> None:
    page = web.get("/nothing/here", Accept="text/html,*/*")
    assert (page.status, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "没有这个页面" in page.words and "nothing" not in page.text
    assert web.get("/nothing/here").headers["content-type"] == "application/json"
    assert web.get("/hooks/nothing", Accept="text/html").headers["content-type"] == "application/json"
    assert web.get("/", "DELETE", Accept="text/html").headers["allow"] in ("GET, HEAD", "HEAD, GET", "POST")


def test_what_nobody_foresaw_is_a_page_without_a_word_of_it(web: Served) -> None:
    guest = web.hall.guest()
    with web.database.write() as session:
        session.execute(text("alter table signature rename to elsewhere"))
    answer = web.get(guest.page, Accept="text/html")
    assert answer.status == 500
    assert "请过几分钟再试" in answer.words and "signature" not in answer.words
    assert "12333" in answer.words


def test_an_office_dresses_the_pages_in_its_own_style_and_the_policy_allows_that_one(tmp_path: Path, new_sqlite: Callable[[], str]) -> None:
    own = tmp_path / "templates" / "web"
    own.mkdir(parents=True)
    (own / "style.css").write_text("body{color:#123456}", "utf-8")
    with Served(tmp_path, new_sqlite()) as web:
        page = web.get("/")
    digest = base64.b64encode(hashlib.sha256(b"body{color:#123456}").digest()).decode()
    assert "<style>body{color:#123456}</style>" in page.text
    assert f"style-src 'sha256-{digest}'" in page.headers["content-security-policy"]


def test_behind_a_proxy_of_ours_each_visitor_is_counted_by_his_own_address_and_nobody_elses_word_is_taken(
    tmp_path: Path, new_sqlite: Callable[[], str]
) -> None:
    def tries(web: Served, number: int, forwarded: str) -> list[int]:
        return [web.post("/", {"code": tokens.personal_code(), "digits": "8000"}, **{"X-Forwarded-For": forwarded}).status for _try in range(number)]

    with Served(tmp_path / "one", new_sqlite(), proxies="127.0.0.1 10.0.0.1") as web:
        assert tries(web, 21, "203.0.113.7") == [422] * 20 + [429]
        assert tries(web, 1, "203.0.113.8") == [422]
        assert tries(web, 1, "203.0.113.8, 203.0.113.7") == [429], "the proxy's own word is the last"
        assert tries(web, 1, "203.0.113.7, 10.0.0.1") == [429], "a second proxy of ours"
        guest = web.hall.guest()
        web.post(f"{guest.page}/sign", SIGNING | {"enterprise": guest.enterprise_ids[0]}, **{"X-Forwarded-For": "203.0.113.9"})
        with web.database.read() as session:
            content = session.scalars(select(EvidencePersonal.content)).all()
        assert [one["ip"] for one in content if "ip" in one] == ["203.0.113.9"]
    with Served(tmp_path / "two", new_sqlite()) as web:
        assert [tries(web, 1, f"203.0.113.{number}")[0] for number in range(21)] == [422] * 20 + [429], "without a proxy anybody could say anything"

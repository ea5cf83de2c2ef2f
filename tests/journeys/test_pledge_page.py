"""An owner opens the page on a phone, reads, draws and signs: a real browser, in the sizes of small and usual phones."""

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from served import SIGNING, Served
from sqlalchemy import select
from visitors import Guest

from outreach.database.pledge_tables import Signature
from outreach.database.tables import Recipient

CHROMIUM = shutil.which("chromium")
PHONES = [pytest.param((390, 844), id="usual"), pytest.param((360, 640), id="small", marks=pytest.mark.long)]
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian: apt install chromium)")

READABLE = """() => {
  const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
                       return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const parts = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const behind = e => { for (; e; e = e.parentElement) {
    const c = parts(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] === 1) return c.slice(0, 3); } };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), bad = [];
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement, style = getComputedStyle(e);
    if (!walker.currentNode.textContent.trim() || ['SCRIPT', 'STYLE', 'OPTION'].includes(e.tagName) || !e.getClientRects().length) continue;
    const [one, two] = [light(parts(style.color)), light(behind(e))].sort((a, b) => b - a);
    const ratio = (one + 0.05) / (two + 0.05);
    if (ratio < 4.5 || parseFloat(style.fontSize) < 16) bad.push([walker.currentNode.textContent.trim().slice(0, 30), ratio.toFixed(2), style.fontSize]);
  }
  return bad;
}"""
"""Texts whose contrast is under 4.5 to 1 (WCAG 2.1, 1.4.3), or that are smaller than 16 pixels."""

UNNAMED = """() => [...document.querySelectorAll('input:not([type=hidden]), textarea, select, canvas, button, a')].filter(e =>
  !(e.labels && [...e.labels].some(l => l.textContent.trim())) && !e.getAttribute('aria-label') &&
  !(['BUTTON', 'A'].includes(e.tagName) && e.textContent.trim())).map(e => e.outerHTML.slice(0, 100))"""
"""Fields, links and buttons that a screen reader could not name."""

SMALL = """() => [...document.querySelectorAll('button, label.tick, input[type=text], textarea, summary, a.button')].filter(e => e.getClientRects().length)
  .filter(e => e.getBoundingClientRect().height < 44).map(e => [e.outerHTML.slice(0, 60), e.getBoundingClientRect().height])"""

DRAWN = """() => { const c = document.getElementById('pad'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  let n = 0; for (let i = 3; i < d.length; i += 4) if (d[i] > 0) n++; return n / (c.width * c.height); }"""
"""Which part of the field has ink on it."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def web(tmp_path: Path, new_sqlite: Callable[[], str]) -> Iterator[Served]:
    with Served(tmp_path, new_sqlite()) as served:
        yield served


class Owner:
    """Somebody with a phone; `complaints` is what the browser had to say of the page."""

    def __init__(self, context: BrowserContext, web: Served) -> None:
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.posts: list[str] = []
        self._touch = context.new_cdp_session(self.page)
        self._base = web.url
        self.page.on("console", lambda message: self.complaints.append(message.text) if "getImageData" not in message.text else None)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.posts.append(request.url) if request.method == "POST" else None)

    def open(self, path: str) -> None:
        self.page.goto(self._base + path)

    def fill_in(self, name: str = "张建国", capacity: str = "法定代表人") -> None:
        self.page.get_by_label("签署人姓名").fill(name)
        self.page.get_by_role("radio", name=capacity).check()
        self.page.get_by_label("我已阅读，自愿签订").check()

    def show_pad(self) -> dict[str, float]:
        self.page.get_by_role("button", name="同时手写签名").click()
        return self.where_pad_is()

    def where_pad_is(self) -> dict[str, float]:
        pad = self.page.locator("#pad")
        pad.scroll_into_view_if_needed()
        box: Any = pad.bounding_box()
        return dict(box)

    def touch(self, kind: str, *points: tuple[int, float, float]) -> None:
        fingers = [{"id": finger, "x": x, "y": y} for finger, x, y in points]
        self._touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    def draw(self, box: dict[str, float], *, finger: int = 1, left: float = 0.1, right: float = 0.9) -> None:
        """Draw one stroke across the field."""
        steps = [(left + (right - left) * step / 20, 0.2 + 0.6 * (step % 5) / 5) for step in range(21)]
        places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in steps]
        self.touch("touchStart", (finger, *places[0]))
        for place in places[1:]:
            self.touch("touchMove", (finger, *place))
        self.touch("touchEnd")

    def strokes(self) -> list[Any]:
        return list(self.page.evaluate("JSON.parse(document.getElementById('ink').value || '[]')"))

    def sign(self) -> None:
        self.page.get_by_role("button", name="签订", exact=True).click()

    def number(self) -> str:
        return self.page.locator(".big").first.inner_text()


def faults_of(page: Page, width: int) -> list[Any]:
    """Return what somebody could not read, name, tap or find his way by, with everything unfolded."""
    page.evaluate("document.querySelectorAll('details, #pad-box').forEach(e => { e.open = true; e.hidden = false; })")
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    faults = [*page.evaluate(READABLE), *page.evaluate(UNNAMED), *page.evaluate(SMALL), *[("twice", name) for name in set(ids) if ids.count(name) > 1]]
    if page.evaluate("document.documentElement.scrollWidth") > width:
        faults.append("scrolls sideways")
    if levels[:1] != [1] or levels.count(1) != 1 or any(after - before > 1 for before, after in pairwise(levels)):
        faults.append(("headings", levels))
    return faults


@contextlib.contextmanager
def phone(browser: Browser, web: Served, size: tuple[int, int] = (390, 844), **options: Any) -> Iterator[Owner]:
    width, height = size
    context = browser.new_context(
        **{"viewport": {"width": width, "height": height}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True, "locale": "zh-CN", **options}
    )
    context.set_default_timeout(8000)
    try:
        yield Owner(context, web)
    finally:
        context.close()


def signatures(web: Served) -> list[Signature]:
    with web.database.read() as session:
        return list(session.scalars(select(Signature).order_by(Signature.id)))


def is_opened(web: Served, guest: Guest) -> bool:
    with web.database.read() as session:
        return session.scalars(select(Recipient.opened_at).where(Recipient.id == guest.recipient_id)).one() is not None


def until(page: Page, truth: str, *, seconds: float = 10) -> None:
    """Wait until an expression is true. Asked from here: the page's own rules let nothing on it evaluate a text again and again."""
    over = time.monotonic() + seconds
    while not page.evaluate(truth):
        assert time.monotonic() < over, truth
        page.wait_for_timeout(50)


@pytest.mark.long
@pytest.mark.parametrize("size", PHONES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_named_and_tapped_on_a_phone(browser: Browser, web: Served, size: tuple[int, int], scheme: str) -> None:
    guest = web.hall.guest("示例建筑工程有限公司", "一个名称特别长而且没有任何标点符号的高新技术装备制造股份有限公司")
    with phone(browser, web, size, color_scheme=scheme) as owner:
        web.post(f"{guest.page}/sign", SIGNING | {"enterprise": guest.enterprise_ids[1], "honour": "1"})
        for path in ("/", guest.page, f"{guest.page}?lang=en", f"/o/{guest.token()}", f"/v/{signatures(web)[0].serial}", "/honour-roll"):
            owner.open(path)
            assert faults_of(owner.page, size[0]) == [], path
        assert owner.complaints == []
        owner.open(guest.page)
        owner.page.evaluate("document.querySelectorAll('form').forEach(form => { form.noValidate = true; })")
        owner.sign()
        expect(owner.page.get_by_role("alert").first).to_contain_text("请填写签署人全名")
        assert faults_of(owner.page, size[0]) == []


@pytest.mark.parametrize("size", PHONES)
def test_an_owner_opens_reads_and_signs_by_typing_a_name(browser: Browser, web: Served, size: tuple[int, int]) -> None:
    guest = web.hall.guest("示例鞋业有限公司")
    with phone(browser, web, size) as owner:
        owner.open(guest.page)
        expect(owner.page.get_by_role("heading", level=1)).to_have_text("诚邀签订《不欠薪倡议书》")
        owner.page.get_by_role("link", name="签订", exact=True).click()
        expect(owner.page.get_by_label("受托人请填写与企业的关系")).to_be_hidden()
        owner.fill_in()
        owner.sign()
        expect(owner.page.get_by_text("已签订，谢谢支持")).to_be_visible()
        assert owner.page.evaluate("document.activeElement.id") == "done"
        (signature,) = signatures(web)
        assert (owner.number(), signature.method, signature.signer) == (signature.serial, "typed", "张建国")
        assert owner.posts == [f"{web.url}{guest.page}/opened", f"{web.url}{guest.page}/sign"]
        assert owner.complaints == []
    assert is_opened(web, guest)


def test_a_drawing_takes_one_finger_can_be_undone_and_survives_turning_the_phone(browser: Browser, web: Served) -> None:
    guest = web.hall.guest()
    with phone(browser, web) as owner:
        owner.open(guest.page)
        owner.fill_in(capacity="负责人")
        box = owner.show_pad()
        owner.draw(box)
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        owner.touch("touchStart", (1, *middle))
        owner.touch("touchStart", (1, *middle), (2, box["x"] + 10, box["y"] + 10))
        owner.touch("touchMove", (1, middle[0] + 40, middle[1]), (2, box["x"] + 60, box["y"] + 60))
        owner.touch("touchEnd")
        drawn = owner.strokes()
        assert len(drawn) == 2, "the second finger draws nothing"
        assert all(400 < x < 700 for x, _y, _at in drawn[1])
        owner.page.get_by_role("button", name="撤销一笔").click()
        assert owner.strokes() == drawn[:1]
        upright = owner.page.evaluate(DRAWN)
        assert upright > 0.005
        owner.page.set_viewport_size({"width": 844, "height": 390})
        until(owner.page, "document.getElementById('pad').width > 1000")
        assert owner.strokes() == drawn[:1]
        assert owner.page.evaluate(DRAWN) > 0.003, "drawn anew from the data"
        owner.draw(owner.where_pad_is(), left=0.3, right=0.6)
        assert len(owner.strokes()) == 2
        owner.page.set_viewport_size({"width": 390, "height": 844})
        kept = owner.strokes()
        owner.sign()
        expect(owner.page.get_by_text("已签订，谢谢支持")).to_be_visible()
        assert owner.complaints == []
    (signature,) = signatures(web)
    assert (signature.method, signature.ink) == ("drawn", kept)
    points = [point for stroke in kept for point in stroke]
    assert all(0 <= x <= 1000 and 0 <= y <= 400 for x, y, _at in points)
    assert [at for _x, _y, at in points] == sorted(at for _x, _y, at in points)


@pytest.mark.long
def test_the_page_stays_still_under_the_finger_that_draws(browser: Browser, web: Served) -> None:
    guest = web.hall.guest()
    with phone(browser, web) as owner:
        owner.open(guest.page)
        box = owner.show_pad()
        before = owner.page.evaluate("scrollY")
        x = box["x"] + 100
        owner.touch("touchStart", (1, x, box["y"] + box["height"] - 5))
        for step in range(12):
            owner.touch("touchMove", (1, x, box["y"] + box["height"] - 5 - 10 * step))
        owner.touch("touchEnd")
        assert owner.page.evaluate("scrollY") == before
        assert len(owner.strokes()) == 1


@pytest.mark.long
def test_a_slip_of_the_finger_is_no_signature_and_can_be_cleared(browser: Browser, web: Served) -> None:
    guest = web.hall.guest()
    with phone(browser, web) as owner:
        owner.open(guest.page)
        owner.fill_in()
        box = owner.show_pad()
        owner.draw(box, left=0.5, right=0.505)
        owner.touch("touchStart", (1, box["x"] + 9, box["y"] + 9))
        owner.touch("touchEnd")
        owner.page.get_by_role("button", name="清除").click()
        box = owner.where_pad_is()
        owner.touch("touchStart", (1, box["x"] + 30, box["y"] + 30))
        owner.touch("touchMove", (1, box["x"] + 40, box["y"] + 30))
        owner.touch("touchEnd")
        owner.sign()
        expect(owner.page.get_by_text("笔迹太简单")).to_be_visible()
        assert signatures(web) == []
        owner.page.get_by_role("button", name="清除").click()
        owner.sign()
        expect(owner.page.get_by_text("已签订，谢谢支持")).to_be_visible()
    assert [row.method for row in signatures(web)] == ["typed"]


@pytest.mark.long
def test_an_old_phone_without_pointer_events_or_beacons_draws_and_is_counted(browser: Browser, web: Served) -> None:
    guest = web.hall.guest()
    with phone(browser, web) as owner:
        owner.page.add_init_script("delete window.PointerEvent; Navigator.prototype.sendBeacon = undefined; delete window.fetch; delete window.Promise;")
        owner.open(guest.page)
        owner.fill_in()
        box = owner.show_pad()
        owner.draw(box)
        owner.touch("touchStart", (1, box["x"] + 50, box["y"] + 50))
        owner.touch("touchStart", (1, box["x"] + 50, box["y"] + 50), (2, box["x"] + 200, box["y"] + 20))
        owner.touch("touchMove", (1, box["x"] + 90, box["y"] + 80), (2, box["x"] + 220, box["y"] + 20))
        owner.touch("touchEnd")
        drawn = owner.strokes()
        assert len(drawn) == 2 and all(x < 500 for x, _y, _at in drawn[1])
        owner.sign()
        expect(owner.page.get_by_text("已签订，谢谢支持")).to_be_visible()
        assert owner.complaints == []
        assert owner.posts[0].endswith("/opened")
    assert [row.ink for row in signatures(web)] == [drawn]


@pytest.mark.long
def test_a_double_tap_sends_once_and_going_back_shows_what_was_signed(browser: Browser, web: Served) -> None:
    guest = web.hall.guest()
    with phone(browser, web) as owner:
        owner.open(guest.page)
        owner.fill_in()
        owner.page.evaluate("{ const b = document.querySelector('#sign button.main'); b.click(); b.click(); b.form.requestSubmit(); }")
        expect(owner.page.get_by_text("已签订，谢谢支持")).to_be_visible()
        assert [url for url in owner.posts if url.endswith("/sign")] == [f"{web.url}{guest.page}/sign"]
        owner.page.go_back()
        expect(owner.page.get_by_text("已签订，谢谢支持")).to_be_visible()
        expect(owner.page.get_by_role("button", name="签订", exact=True)).to_have_count(0)
    assert len(signatures(web)) == 1


@pytest.mark.long
def test_two_tabs_sign_once_and_both_show_the_same_number(browser: Browser, web: Served) -> None:
    guest = web.hall.guest()
    with phone(browser, web) as one, phone(browser, web) as two:
        for owner in (one, two):
            owner.open(guest.page)
            owner.fill_in()
        one.sign()
        two.sign()
        for owner in (one, two):
            expect(owner.page.get_by_text("已签订，谢谢支持")).to_be_visible()
        assert one.number() == two.number()
    assert len(signatures(web)) == 1


@pytest.mark.parametrize("size", PHONES)
def test_without_javascript_the_page_says_what_is_missing_and_signs(browser: Browser, web: Served, size: tuple[int, int]) -> None:
    guest = web.hall.guest("甲有限公司", "乙有限公司")
    with phone(browser, web, size, java_script_enabled=False) as owner:
        owner.open(guest.page)
        expect(owner.page.get_by_role("button", name="同时手写签名")).to_be_hidden()
        owner.page.get_by_label("签署人姓名").fill("李梅")
        owner.page.get_by_label("受托人（受企业委托）").check()
        owner.page.locator("#sign").get_by_label("乙有限公司").check()
        owner.page.get_by_label("我已阅读，自愿签订").check()
        owner.sign()
        expect(owner.page.get_by_role("alert")).to_contain_text("请填写与企业的关系")
        expect(owner.page.get_by_label("签署人姓名")).to_have_value("李梅")
        owner.page.get_by_label("受托人请填写与企业的关系").fill("财务负责人")
        owner.sign()
        expect(owner.page.get_by_text("已签订，谢谢支持")).to_be_visible()
        assert owner.posts == [f"{web.url}{guest.page}/sign"] * 2
    assert [(row.enterprise, row.capacity, row.relation) for row in signatures(web)] == [("乙有限公司", "agent", "财务负责人")]
    assert is_opened(web, guest)  # who acts has opened


@pytest.mark.long
def test_a_code_is_typed_and_the_page_signed_with_the_keyboard_alone(browser: Browser, web: Served) -> None:
    guest = web.hall.guest(phone="+8613800138000")
    with phone(browser, web, (1280, 800), is_mobile=False, has_touch=False) as owner:
        owner.open("/")
        keyboard = owner.page.keyboard
        keyboard.press("Tab")
        expect(owner.page.get_by_role("link", name="跳到正文")).to_be_focused()
        keyboard.press("Tab")
        keyboard.type(guest.code.lower())
        keyboard.press("Tab")
        keyboard.type("8000")
        keyboard.press("Enter")
        expect(owner.page.get_by_role("heading", level=1)).to_have_text("诚邀签订《不欠薪倡议书》")
        for _step in range(40):
            keyboard.press("Tab")
            assert (
                owner.page.evaluate("getComputedStyle(document.activeElement).outlineStyle + getComputedStyle(document.activeElement).outlineWidth")
                == "solid3px"
            )
            if owner.page.evaluate("document.activeElement.id") == "signer":
                break
        keyboard.type("张建国")
        keyboard.press("Tab")
        keyboard.press("Space")
        keyboard.press("ArrowDown")
        expect(owner.page.get_by_label("负责人", exact=True)).to_be_checked()
        keyboard.press("Tab")
        expect(owner.page.get_by_role("button", name="同时手写签名")).to_be_focused()
        keyboard.press("Tab")
        keyboard.press("Space")
        expect(owner.page.get_by_label("我已阅读，自愿签订")).to_be_checked()
        keyboard.press("Tab")
        keyboard.press("Tab")
        keyboard.press("Enter")
        expect(owner.page.get_by_text("已签订，谢谢支持")).to_be_visible()
    assert [(row.way, row.capacity) for row in signatures(web)] == [("code", "principal")]


@pytest.mark.long
def test_declining_correcting_and_withdrawing_take_a_few_taps(browser: Browser, web: Served) -> None:
    guest = web.hall.guest("示例鞋业有限公司")
    with phone(browser, web) as owner:
        owner.open(guest.page)
        owner.page.get_by_text("我不是负责人").click()
        owner.page.get_by_label("现在的负责人和联系方式（可不填）").fill("李四")
        owner.page.locator("details[open]").get_by_role("button", name="告诉我们").click()
        expect(owner.page.get_by_text("谢谢，工作人员会更正我们的名册。")).to_be_visible()
        owner.page.locator("summary", has_text="暂不签订").click()
        owner.page.get_by_role("button", name="确认暂不签订").click()
        expect(owner.page.get_by_text("已记录：暂不签订。")).to_be_visible()
        owner.fill_in()
        owner.sign()
        owner.page.locator("summary", has_text="撤回签署").click()
        owner.page.get_by_role("button", name="撤回示例鞋业有限公司的签署").click()
        expect(owner.page.get_by_text("已撤回，该承诺不再计入。")).to_be_visible()
        assert owner.complaints == []
    assert [row.state for row in signatures(web)] == ["withdrawn"]

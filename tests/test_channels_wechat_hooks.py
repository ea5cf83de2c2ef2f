"""WeChat's callbacks: only WeChat's own are believed, each is read as what it says, and the answer comes in the envelope that was asked for."""

import base64
import contextlib
import hashlib
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto import WeChatCrypto
from wechatpy.parser import parse_message

from outreach import settings
from outreach.channels import directory
from outreach.channels.base import BadSignature, Incoming, MalformedCallback, MassReport, Receipt, Reply, StatusUnknown
from outreach.channels.wechat.hooks import SealedReply, WeChatHooks
from outreach.errors import Misconfigured
from outreach.settings import Settings

WORD = "the-office-and-wechat-know-it"
AES_KEY = base64.b64encode(bytes(range(7, 39))).decode().rstrip("=").replace("+", "A").replace("/", "B")
APP_ID = "wx0123456789abcdef"
OPENID = "oAbcdefghijklmnopqrstuvwxyz0"
ACCOUNT = "gh_0123456789ab"
AT = 1768449600
MOMENT = str(int(time.time()))
SHANGHAI_NOON = datetime(2026, 1, 15, 4, tzinfo=UTC)
URL = "https://office.example/hooks/wechat"

OFFICE = settings.load(Path("/nowhere"), wechat_token=WORD, wechat_aes_key=AES_KEY, wechat_app_id=APP_ID)
HOOKS = WeChatHooks(OFFICE)
WITNESS = WeChatCrypto(WORD, AES_KEY, APP_ID)


def signed(*more: str, word: str = WORD, **query: str) -> dict[str, str]:
    """Return the query of a callback as WeChat makes it."""
    asked = {"timestamp": MOMENT, "nonce": "839201"} | query
    asked["signature"] = hashlib.sha1("".join(sorted([word, asked["timestamp"], asked["nonce"]])).encode()).hexdigest()
    if more:
        asked["msg_signature"] = hashlib.sha1("".join(sorted([word, asked["timestamp"], asked["nonce"], *more])).encode()).hexdigest()
        asked["encrypt_type"] = "aes"
    return asked


def xml(fields: str, *, openid: str = OPENID, at: int | str = AT) -> str:
    head = f"<ToUserName><![CDATA[{ACCOUNT}]]></ToUserName><FromUserName><![CDATA[{openid}]]></FromUserName><CreateTime>{at}</CreateTime>"
    return f"<xml>{head}{fields}</xml>"


def event(name: str, fields: str = "", **head: str) -> str:
    return xml(f"<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[{name}]]></Event>{fields}", **head)


def text(words: str, number: int | str = 2**33 + 5) -> str:
    return xml(f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{words}]]></Content><MsgId>{number}</MsgId>")


def url(query: dict[str, str]) -> str:
    return f"{URL}?{urlencode(query)}"


def read(body: str) -> list[Incoming]:
    """Read a callback in plain mode."""
    return list(HOOKS.read_callback(url=url(signed()), body=body.encode(), headers={}))


def sealed(body: str, *, crypto: WeChatCrypto = WITNESS, beside: str = "") -> tuple[str, bytes]:
    """Return address and body of a callback in encrypted mode, made by the SDK's own cipher."""
    envelope = crypto.encrypt_message(body, "839201", MOMENT)
    encrypted = ElementTree.fromstring(envelope).findtext("Encrypt") or ""
    outer = f"<xml><ToUserName><![CDATA[{ACCOUNT}]]></ToUserName>{beside}<Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    return url(signed(encrypted)), outer.encode()


# who may call


def test_the_address_is_shown_to_be_ours() -> None:
    assert HOOKS.challenge(url=url(signed(echostr="4375120948345356249"))) == "4375120948345356249"


@pytest.mark.parametrize("echo", ["", "<script>", "a b", "\n", "x" * 300, "é"])
def test_what_is_echoed_can_be_nothing_but_a_word(echo: str) -> None:
    with pytest.raises(MalformedCallback):
        HOOKS.challenge(url=url(signed(echostr=echo)))


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"echostr": "1"},
        {**signed(), "signature": ""},
        {**signed(), "signature": "0" * 40},
        {**signed(), "signature": "签名"},
        {**signed(), "nonce": "1"},
        {**signed(), "timestamp": ""},
        signed(word="sandbox"),
        signed(word=""),
    ],
)
def test_who_does_not_know_the_word_is_turned_away(query: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        HOOKS.challenge(url=url(query | {"echostr": "1"}))
    with pytest.raises(BadSignature):
        HOOKS.read_callback(url=url(query), body=text("hello").encode(), headers={})


def test_an_office_without_a_word_believes_nobody(tmp_path: Path) -> None:
    bare = settings.load(tmp_path, mode="production", wechat_app_id=APP_ID, twilio_auth_token="x")
    with pytest.raises(BadSignature):
        WeChatHooks(bare).challenge(url=url(signed(word="", echostr="1")))
    assert not any(isinstance(hooks, WeChatHooks) for hooks in directory.open_hooks(bare))
    assert any(isinstance(hooks, WeChatHooks) for hooks in directory.open_hooks(OFFICE))


def test_a_provider_without_a_secret_has_no_door(tmp_path: Path) -> None:
    assert directory.open_hooks(settings.load(tmp_path, mode="production", wechat_app_id=APP_ID)) == []


@pytest.mark.parametrize("key", ["short", AES_KEY[:-1], AES_KEY + "A", AES_KEY[:-1] + "=", "é" * 43])
def test_a_key_that_can_be_none_is_named_at_the_start(tmp_path: Path, key: str) -> None:
    for act in (directory.open_hooks, directory.require_mode):
        with pytest.raises(Misconfigured, match="wechat_aes_key"):
            act(settings.load(tmp_path, wechat_aes_key=key))


# encrypted


def test_what_comes_encrypted_says_the_same() -> None:
    address, body = sealed(text("7K3M9P"))
    (found,) = HOOKS.read_callback(url=address, body=body, headers={})
    (plain,) = read(text("7K3M9P"))
    assert isinstance(found, SealedReply) and isinstance(plain, Reply) and not isinstance(plain, SealedReply)
    assert {name: getattr(found, name) for name in Reply.__slots__} == {name: getattr(plain, name) for name in Reply.__slots__}


def test_where_both_stand_the_encrypted_one_counts_and_may_be_answered_plainly() -> None:
    address, body = sealed(text("true"), beside="<MsgType>text</MsgType><Content>forged</Content><MsgId>1</MsgId>")
    (found,) = HOOKS.read_callback(url=address, body=body, headers={})
    assert isinstance(found, Reply) and found.body == "true" and not isinstance(found, SealedReply)


def test_an_encrypted_one_of_another_key_account_or_word_is_turned_away() -> None:
    other_key = base64.b64encode(bytes(32)).decode().rstrip("=")
    for crypto in (WeChatCrypto(WORD, AES_KEY, "wx-another"), WeChatCrypto(WORD, other_key, APP_ID)):
        address, body = sealed(text("hello"), crypto=crypto)
        with pytest.raises((BadSignature, MalformedCallback)):
            HOOKS.read_callback(url=address, body=body, headers={})
    address, body = sealed(text("hello"))
    for part, wrong in (("msg_signature=", "msg_signature=0"), ("nonce=839201", "nonce=839202"), ("msg_signature", "other")):
        with pytest.raises((BadSignature, MalformedCallback)):
            HOOKS.read_callback(url=address.replace(part, wrong), body=body, headers={})


def test_an_encrypted_one_without_a_key_of_ours_is_refused(tmp_path: Path) -> None:
    office = settings.load(tmp_path, mode="production", wechat_token=WORD, wechat_app_id=APP_ID)
    address, body = sealed(text("hello"))
    with pytest.raises(MalformedCallback, match="wechat_aes_key"):
        WeChatHooks(office).read_callback(url=address, body=body, headers={})


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_changed_bit_of_an_encrypted_callback_is_found(place: int, bit: int) -> None:
    address, body = sealed(text("hello"))
    start, end = body.index(b"<Encrypt><![CDATA[") + 18, body.index(b"]]></Encrypt>")
    place = start + place % (end - start)
    changed = bytes([*body[:place], body[place] ^ (1 << bit), *body[place + 1 :]])
    with pytest.raises((BadSignature, MalformedCallback)):
        HOOKS.read_callback(url=address, body=changed, headers={})


@given(st.binary(max_size=200))
def test_whatever_bytes_come_signed_are_read_or_called_malformed(body: bytes) -> None:
    for address in (url(signed()), url(signed("x"))):
        with contextlib.suppress(MalformedCallback, BadSignature):
            HOOKS.read_callback(url=address, body=body, headers={})


NAMES = "MsgType Event Content MsgId MsgID Status EventKey CreateTime FromUserName TotalCount SubscribeMsgPopupEvent List".split()
VALUES = ["event", "text", "subscribe", "SCAN", "TEMPLATESENDJOBFINISH", "MASSSENDJOBFINISH", "success", "subscribe_msg_sent_event", "-1", "9" * 30, ""]


def tree(depth: int) -> st.SearchStrategy[str]:
    leaf = st.sampled_from(VALUES)
    inner = leaf if depth == 0 else st.one_of(leaf, tree(depth - 1))
    return st.lists(st.tuples(st.sampled_from(NAMES), inner), max_size=5).map(lambda pairs: "".join(f"<{name}>{value}</{name}>" for name, value in pairs))


@given(tree(2), st.sampled_from(VALUES))
def test_whatever_fields_come_are_read_or_called_malformed(fields: str, name: str) -> None:
    for body in (f"<xml>{fields}</xml>", xml(fields), event(name, fields)):
        try:
            found = read(body)
        except MalformedCallback:
            continue
        assert all(isinstance(item, Receipt | Reply | MassReport) for item in found)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<xml/>",
        "<xml>text</xml>",
        "<other><MsgType>text</MsgType></other>",
        "<xml><MsgType>text</MsgType>",
        '<!DOCTYPE x [<!ENTITY a "aaaa">]><xml><MsgType>text</MsgType><Content>&a;</Content></xml>',
        xml("<Content>no type</Content>"),
        xml("<MsgType>text</MsgType><MsgType>text</MsgType>"),
        xml("<MsgType>text</MsgType><Content>a</Content><Content>b</Content><MsgId>1</MsgId>"),
        xml("<MsgType>text</MsgType><Content>a</Content><MsgId>1</MsgId>", openid=""),
        xml("<MsgType>text</MsgType><Content>a</Content><MsgId>1</MsgId>", openid="o'); drop table"),
        xml("<MsgType>text</MsgType><Content>a</Content><MsgId>1</MsgId>", openid="o" * 65),
        xml("<MsgType>text</MsgType><Content>a</Content><MsgId>1</MsgId>", at="yesterday"),
        xml("<MsgType>text</MsgType><Content>a</Content><MsgId>1</MsgId>", at="999999999999"),
        event("MASSSENDJOBFINISH", "<MsgID>1</MsgID><Status>send success</Status><TotalCount>many</TotalCount>"),
    ],
)
def test_what_cannot_be_a_message_is_malformed(body: str) -> None:
    with pytest.raises(MalformedCallback):
        read(body)


def test_a_query_without_end_is_malformed() -> None:
    with pytest.raises(MalformedCallback):
        HOOKS.read_callback(url=url(signed()) + "&a=1" * 100, body=b"", headers={})


# what it says


def test_a_text_is_known_again_by_its_number() -> None:
    assert read(text("7k3m 9p")) == [Reply("wechat", str(2**33 + 5), OPENID, "7k3m 9p", account=ACCOUNT, at=SHANGHAI_NOON)]
    assert read(text("hello")) == read(text("hello"))


@pytest.mark.parametrize(("words", "stops", "restarts"), [("退订", True, False), ("TD", True, False), ("恢复", False, True), ("我要退订", True, False)])
def test_stop_words_are_those_of_all_channels(words: str, stops: bool, restarts: bool) -> None:
    (found,) = read(text(words))
    assert isinstance(found, Reply)
    assert (found.stops, found.restarts) == (stops, restarts)


@pytest.mark.parametrize(
    ("fields", "body"),
    [
        ("<MsgType>image</MsgType><PicUrl>http://x</PicUrl><MediaId>m</MediaId>", "[图片]"),
        ("<MsgType>voice</MsgType><MediaId>m</MediaId><Recognition>什么时候签</Recognition>", "什么时候签"),
        ("<MsgType>voice</MsgType><MediaId>m</MediaId><Recognition></Recognition>", "[语音]"),
        ("<MsgType>voice</MsgType><MediaId>m</MediaId><Recognition>退订</Recognition>", "退订"),
        ("<MsgType>link</MsgType><Title>一篇文章</Title>", "一篇文章"),
        ("<MsgType>hologram</MsgType>", "[hologram]"),
        ("<MsgType>text</MsgType><Content></Content>", ""),
    ],
)
def test_what_is_no_text_is_kept_as_what_it_is(fields: str, body: str) -> None:
    (found,) = read(xml(f"{fields}<MsgId>77</MsgId>"))
    assert isinstance(found, Reply)
    assert (found.body, found.reference, found.act, found.stops) == (body, "77", "text", False)


@pytest.mark.parametrize(
    ("body", "act", "scene"),
    [
        (event("subscribe", "<EventKey></EventKey>"), "follow", ""),
        (event("subscribe"), "follow", ""),
        (event("subscribe", "<EventKey>qrscene_k3Jx</EventKey><Ticket>T</Ticket>"), "follow", "k3Jx"),
        (event("subscribe", "<EventKey>last_trade_no_1</EventKey>"), "follow", ""),
        (event("unsubscribe", "<EventKey></EventKey>"), "leave", ""),
        (event("SCAN", "<EventKey>k3Jx</EventKey><Ticket>T</Ticket>"), "scan", "k3Jx"),
    ],
)
def test_to_follow_to_leave_and_to_scan_are_known_again_by_who_when_and_what(body: str, act: str, scene: str) -> None:
    (found,) = read(body)
    assert isinstance(found, Reply)
    assert (found.act, found.scene, found.body, found.sender, found.at) == (act, scene, "", OPENID, SHANGHAI_NOON)
    name = {"follow": "subscribe", "leave": "unsubscribe", "scan": "scan"}[act]
    assert found.reference.startswith(f"{OPENID}:{AT}:{name}")


@pytest.mark.parametrize(
    ("status", "receipt"),
    [
        ("success", Receipt("wechat", "8589934597", "delivered", to=OPENID)),
        ("failed:user block", Receipt("wechat", "8589934597", "undelivered", error_code="user block", kind="opted_out", to=OPENID)),
        ("failed: user block", Receipt("wechat", "8589934597", "undelivered", error_code="user block", kind="opted_out", to=OPENID)),
        ("failed: system failed", Receipt("wechat", "8589934597", "failed", error_code="system failed", kind="temporary", to=OPENID)),
        ("failed", Receipt("wechat", "8589934597", "failed", error_code="failed", kind="temporary", to=OPENID)),
    ],
)
def test_the_end_of_a_template_message_is_a_receipt(status: str, receipt: Receipt) -> None:
    assert read(event("TEMPLATESENDJOBFINISH", f"<MsgID>8589934597</MsgID><Status><![CDATA[{status}]]></Status>")) == [receipt]


def test_a_template_message_without_number_is_known_by_its_person() -> None:
    for number in ("<MsgID>0</MsgID>", ""):
        (found,) = read(event("TEMPLATESENDJOBFINISH", f"{number}<Status>success</Status>"))
        assert found == Receipt("wechat", f"{OPENID}:{AT}:templatesendjobfinish", "delivered", to=OPENID)


def test_an_unheard_of_end_is_not_taken_for_one() -> None:
    with pytest.raises(StatusUnknown):
        read(event("TEMPLATESENDJOBFINISH", "<MsgID>5</MsgID><Status>perhaps</Status>"))


def test_a_mass_message_is_reported_in_totals() -> None:
    counts = "<TotalCount>100</TotalCount><FilterCount>80</FilterCount><SentCount>75</SentCount><ErrorCount>5</ErrorCount>"
    checked = "<CopyrightCheckResult><Count>0</Count><ResultList></ResultList><CheckState>0</CheckState></CopyrightCheckResult>"
    body = event("MASSSENDJOBFINISH", f"<MsgID>{2**34}</MsgID><Status>err(10001)</Status>{counts}{checked}")
    assert read(body) == [MassReport("wechat", str(2**34), "err(10001)", 100, 80, 75, 5)]


def row(template: str, fields: str) -> str:
    return f"<List><TemplateId><![CDATA[{template}]]></TemplateId>{fields}</List>"


def test_subscriptions_taken_and_refused_are_read_one_or_several() -> None:
    took, refused = "<SubscribeStatusString>accept</SubscribeStatusString>", "<SubscribeStatusString>reject</SubscribeStatusString>"
    one = event("subscribe_msg_popup_event", f"<SubscribeMsgPopupEvent>{row('A', took)}</SubscribeMsgPopupEvent>")
    two = event("subscribe_msg_change_event", f"<SubscribeMsgChangeEvent>{row('A', refused)}{row('B', took)}</SubscribeMsgChangeEvent>")
    for body, choices in ((one, {"A": "accept"}), (two, {"A": "reject", "B": "accept"})):
        (found,) = read(body)
        assert isinstance(found, Reply)
        assert (found.act, found.choices, found.sender) == ("subscription", choices, OPENID)


def test_the_end_of_a_subscription_notice_is_a_receipt() -> None:
    good = row("A", "<MsgID>9000000001</MsgID><ErrorCode>0</ErrorCode><ErrorStatus>success</ErrorStatus>")
    bad = row("B", "<ErrorCode>43101</ErrorCode><ErrorStatus>user refuse to accept the msg</ErrorStatus>")
    found = read(event("subscribe_msg_sent_event", f"<SubscribeMsgSentEvent>{good}{bad}</SubscribeMsgSentEvent>"))
    assert found == [
        Receipt("wechat", "9000000001", "delivered", to=OPENID),
        Receipt("wechat", f"{OPENID}:{AT}:subscribe_msg_sent_event:1", "failed", error_code="43101", kind="temporary", to=OPENID),
    ]


@pytest.mark.parametrize("name", ["CLICK", "VIEW", "LOCATION", "a_new_event", "subscribe_msg_popup_event", "subscribe_msg_sent_event", "device_text"])
def test_an_event_of_no_use_is_answered_and_forgotten(name: str) -> None:
    assert read(event(name, "<EventKey>x</EventKey>")) == []
    assert HOOKS.acknowledge([]).body == b"success"


# the answer


def test_what_is_kept_is_answered_success() -> None:
    said = HOOKS.acknowledge(read(text("hello")))
    assert (said.status, said.content_type.partition(";")[0], said.body) == (200, "text/plain", b"success")
    assert HOOKS.acknowledge(read(event("TEMPLATESENDJOBFINISH", "<MsgID>5</MsgID><Status>success</Status>")), "nobody wrote").body == b"success"


ANSWERS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=60)


@given(ANSWERS.filter(lambda words: words == words.strip()))
def test_an_answer_reaches_the_person_as_it_was_written(words: str) -> None:
    for answer in (words, f"{words}]]>{words}", f"<a>{words}&amp;"):
        said = HOOKS.acknowledge(read(text("hello")), answer)
        shown = parse_message(said.body)
        assert (shown.content, shown.target, shown.source, shown.type, shown.time) == (answer, OPENID, ACCOUNT, "text", AT)


@given(ANSWERS)
def test_who_wrote_encrypted_is_answered_so_and_the_sdk_can_read_it(words: str) -> None:
    address, body = sealed(text("hello"))
    said = HOOKS.acknowledge(HOOKS.read_callback(url=address, body=body, headers={}), words)
    assert words not in said.body.decode() or len(words) < 4
    outer = ElementTree.fromstring(said.body)
    parts = {name: outer.findtext(name) or "" for name in ("Encrypt", "MsgSignature", "TimeStamp", "Nonce")}
    plain = WITNESS.decrypt_message(said.body, parts["MsgSignature"], parts["TimeStamp"], parts["Nonce"])
    assert ElementTree.fromstring(plain).findtext("Content") == words


def test_two_answers_of_the_same_words_do_not_look_alike() -> None:
    address, body = sealed(text("hello"))
    items = HOOKS.read_callback(url=address, body=body, headers={})
    assert HOOKS.acknowledge(items, "好的").body != HOOKS.acknowledge(items, "好的").body


def test_the_door_is_where_wechat_is_told_it_is() -> None:
    assert list(HOOKS.paths) == ["/hooks/wechat"]
    assert isinstance(OFFICE, Settings)


def test_what_was_signed_more_than_an_hour_ago_is_believed_no_more() -> None:
    body = text("你好").encode()
    for age in (-3500, 0, 3500):
        assert HOOKS.read_callback(url=f"{URL}?{urlencode(signed(timestamp=str(int(time.time()) - age)))}", body=body, headers={})
    for stamp in (str(int(time.time()) - 3700), "1000000000", "99999999999999999999", "now"):
        with pytest.raises(BadSignature):
            HOOKS.read_callback(url=f"{URL}?{urlencode(signed(timestamp=stamp))}", body=body, headers={})

"""The audience language: what is written comes back, and what is wrong is answered with the place and the nearest name."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach import i18n
from outreach.audiences import errors
from outreach.audiences.fields import CHANNELS, FIELDS, YES_NO
from outreach.audiences.language import parse
from outreach.audiences.tree import And, Attended, Compare, Everybody, Has, In, Like, Not, Or, Register, SegmentRef, Signed, Tree, walk
from outreach.audiences.wording import format
from outreach.errors import OutreachError

NASTY = (
    *("", " ", "and", "OR", "not", "In", "like", "ALL", "且", "或", "非", "属于", "不属于", "形如", "全部", "是", "否", "yes", "no", "True"),
    *("'", '"', "\\", '\\"', "“引”", "「」", "a\\nb", "(", "（", ")", ",", "，", "、", "=", "《", "!=", "%", "_", "*", "\\*", "😀", "007", "1.5", "2026-01-15"),
    *(
        "逍林镇且规上",
        "或有",
        "规上",
        "已签署",
        "segment:a",
        "范围：a",
        "register.a.b",
        "a b",
        " a",
        "-",
        "--",
        ".",
        "欧阳·娜",
        "ın",
        "\ufeff",
        "\u3000",
        "\u202e",
        "\x7f",
    ),
)
CONTROLS = "".join(chr(code) for code in range(32) if chr(code) not in "\t\n\r\f\v")
texts = st.one_of(st.sampled_from(NASTY), st.text(st.characters(exclude_categories=["Cs"], exclude_characters=CONTROLS), max_size=12))
names = st.text("abzAZ019业风险_-", min_size=1, max_size=12)
registers = st.builds(Register, names, names)
text_fields = st.one_of(st.sampled_from(sorted(set(FIELDS) - YES_NO)), registers)
yes_no_fields = st.sampled_from(sorted(YES_NO))
answers = st.sampled_from([True, False, ""])
leaves = st.one_of(
    st.just(Everybody()),
    st.builds(Compare, text_fields, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), texts),
    st.builds(Compare, yes_no_fields, st.sampled_from(["=", "!="]), answers),
    st.builds(In, text_fields, st.lists(texts, min_size=1, max_size=4).map(tuple)),
    st.builds(In, yes_no_fields, st.lists(answers, min_size=1, max_size=3).map(tuple)),
    st.builds(Like, text_fields, texts),
    st.builds(Has, st.sampled_from(sorted(CHANNELS))),
    st.builds(Signed, texts),
    st.builds(Attended, texts),
    st.builds(SegmentRef, st.text("aZ9业_-.", min_size=1, max_size=8)),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(And, st.lists(inner, min_size=2, max_size=4).map(tuple)),
        st.builds(Or, st.lists(inner, min_size=2, max_size=4).map(tuple)),
    ),
    max_leaves=12,
)

SIGNED = Compare("signed", "=", True)
ABOVE = Compare("above_scale", "=", True)
XIAOLIN = Compare("town", "=", "逍林镇")


@settings(max_examples=400, deadline=None)
@given(trees, st.sampled_from(["zh", "en"]))
def test_what_is_written_down_reads_as_the_same_tree(tree: Tree, lang: str) -> None:
    text = format(tree, lang)
    assert parse(text) == tree
    assert "\n" not in text
    assert "\r" not in text


@settings(max_examples=400, deadline=None)
@given(st.text("规上town镇街=!<>()（），、andornot且或非in\"'“\\ segment:a有*%.-😀\n", max_size=40))
def test_any_text_is_an_audience_or_a_mistake_in_one_line(text: str) -> None:
    try:
        tree = parse(text)
    except errors.AudienceError as error:
        assert "\n" not in i18n.say(error)
        assert 1 <= error.data.get("column", 1) <= len(text) + 1
    else:
        assert parse(format(tree)) == tree


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("规上 = 是 and 镇街 in (逍林镇, 桥头镇) and not 已签署", And((ABOVE, In("town", ("逍林镇", "桥头镇")), Not(SIGNED)))),
        ("above_scale = yes AND town IN (逍林镇,桥头镇) And Not signed", And((ABOVE, In("town", ("逍林镇", "桥头镇")), Not(SIGNED)))),
        ("规上＝是　且　镇街　属于（逍林镇，桥头镇、）且 非 已签署", And((ABOVE, In("town", ("逍林镇", "桥头镇")), Not(SIGNED)))),
        ("not 规上 and 已签署 or town = 逍林镇", Or((And((Not(ABOVE), SIGNED)), XIAOLIN))),
        ("not (规上 and (已签署 or town = 逍林镇))", Not(And((ABOVE, Or((SIGNED, XIAOLIN)))))),
        ("((规上))", ABOVE),
        ("规上 and 规上 and 规上", And((ABOVE, ABOVE, ABOVE))),
        ("(规上 and 规上) and 规上", And((And((ABOVE, ABOVE)), ABOVE))),
        ("镇街 ≠ 逍林镇", Compare("town", "!=", "逍林镇")),
        ("镇街！＝逍林镇", Compare("town", "!=", "逍林镇")),
        ("镇街 <> 逍林镇", Compare("town", "!=", "逍林镇")),
        ("镇街 == 逍林镇", XIAOLIN),
        ("规模 《 300", Compare("scale", "<", "300")),
        ("规模 》＝ 300", Compare("scale", ">=", "300")),
        ("规模 ≤ 300", Compare("scale", "<=", "300")),
        ("town not in (a)", Not(In("town", ("a",)))),
        ("镇街 不属于 (a)", Not(In("town", ("a",)))),
        ("企业名称 like *鞋业*", Like("name", "*鞋业*")),
        ("企业名称 not like “%鞋业%”", Not(Like("name", "%鞋业%"))),
        ("联系人 = 欧阳·娜", Compare("contact", "=", "欧阳·娜")),
        ("name = 'it\\'s \"so\"'", Compare("name", "=", 'it\'s "so"')),
        ('name = "a\\nb"', Compare("name", "=", "a\nb")),
        ('name like "50\\%*"', Like("name", "50\\%*")),
        ("town = 全部", Compare("town", "=", "全部")),
        ("town = 2026-01-15", Compare("town", "=", "2026-01-15")),
        ("手机 = +8613800138000", Compare("phone", "=", "+8613800138000")),
        ('镇街 = ""', Compare("town", "=", "")),
        ("规上 != NO", Compare("above_scale", "!=", False)),
        ('规上 = "是"', ABOVE),
        ("规上 in (是, 否)", In("above_scale", (True, False))),
        ("has(sms) or 有（微信）", Or((Has("sms"), Has("wechat")))),
        ('signed("no-arrears 2026")', Signed("no-arrears 2026")),
        ("attended(E-17)", Attended("E-17")),
        ("register.risk.level = 高", Compare(Register("risk", "level"), "=", "高")),
        ("名册.风险.等级 in (高)", In(Register("风险", "等级"), ("高",))),
        ("segment:重点-2026 and not 范围：a.b", And((SegmentRef("重点-2026"), Not(SegmentRef("a.b"))))),
        ("全部", Everybody()),
        ("行业 = 非金属矿物制品业 or town = 且末镇", Or((Compare("industry", "=", "非金属矿物制品业"), Compare("town", "=", "且末镇")))),
    ],
)
def test_english_chinese_and_mixed_expressions_mean_the_same(text: str, tree: Tree) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "kind", "column", "said"),
    [
        ("tonw = 逍林镇", errors.NameUnknown, 1, "the nearest is town"),
        ("规上 and 乡镇 = 逍林镇", errors.NameUnknown, 8, "the nearest is 镇街"),
        ("规上 and 手机号 = 1", errors.NameUnknown, 8, "the nearest is 手机"),
        ("zzzz = 1", errors.NameUnknown, 1, "known are 企业名称"),
        ("have(sms)", errors.FunctionUnknown, 1, "the nearest is has"),
        ("has(smss)", errors.ChannelUnknown, 5, "the nearest is sms"),
        ("has(电报)", errors.ChannelUnknown, 5, "known are 短信 微信 信函"),
        ("规上 > 是", errors.NoOrder, 4, "yes or no"),
        ("已签署 like x", errors.NoOrder, 1, "yes or no"),
        ("规上 = 可能", errors.YesNoExpected, 6, "yes/是 or no/否"),
        ("规上 in (是, maybe)", errors.YesNoExpected, 11, "[maybe]"),
        ("not 镇街", errors.TextExpected, 5, "镇街 is text"),
        ("规上 =", errors.NotExpected, 5, "a value was expected, not the end"),
        ("镇街 逍林镇", errors.NotExpected, 4, "a comparison"),
        ("镇街 = and", errors.NotExpected, 6, "a value was expected"),
        ("镇街 in 逍林镇", errors.NotExpected, 7, "( was expected"),
        ("镇街 in ()", errors.NotExpected, 8, "a value was expected"),
        ("镇街 in (a b)", errors.NotExpected, 10, ", or ) was expected"),
        ("town not = 3", errors.NotExpected, 10, "in or like was expected"),
        ("规上 and", errors.NotExpected, 7, "a field, not or ( was expected"),
        ("(规上", errors.NotExpected, 4, ") was expected"),
        ("规上)", errors.NotExpected, 3, "and, or, or the end was expected"),
        ("规上 and 镇街 = \n )", errors.NotExpected, 15, "[)]"),
        ("镇街=逍林镇且规上=是", errors.BlankMissing, 7, "before and after 且"),
        ("镇街=逍林镇或有(短信)", errors.BlankMissing, 7, "before and after 或"),
        ("规上=是且镇街=逍林镇", errors.BlankMissing, 5, "before and after 且"),
        ("非已签署", errors.BlankMissing, 1, "before and after 非"),
        ("镇街属于(逍林镇)", errors.BlankMissing, 3, "before and after 属于"),
        ('镇街 = "逍林镇', errors.QuoteOpen, 6, "never closed"),
        ("镇街 = 😀", errors.CharacterUnknown, 6, "inside quotation marks"),
        ("镇街 = a\x00", errors.NoText, 7, "U+0000"),
        ("镇街 = \ud800", errors.NoText, 6, "U+D800"),
    ],
)
def test_a_mistake_is_answered_with_its_place_and_what_was_expected(text: str, kind: type[OutreachError], column: int, said: str) -> None:
    with pytest.raises(kind) as caught:
        parse(text)
    assert caught.value.data["column"] == column
    assert f"column {column}" in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_place_is_shown_with_the_words_around_it() -> None:
    with pytest.raises(errors.NameUnknown, match=r"“规上 = 是 and \[tonw\] = 逍林镇”"):
        parse("规上 = 是 and tonw = 逍林镇")
    with pytest.raises(errors.NameUnknown, match=r"“…是 or 规上 = 是 and \[tonw\] = 逍林镇 or 规上 = 是…”"):
        parse("规上 = 是 or 规上 = 是 and tonw = 逍林镇 or 规上 = 是 or 规上 = 是")


@pytest.mark.parametrize("text", ["", "  \n\u3000", "\ufeff"])
def test_an_empty_audience_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(errors.AudienceEmpty, match="全部"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["(" * 10_000, "(" * 4000, "not " * 999 + "规上", "not(" * 900, "(规上 or " * 400, "镇街 in (" * 300, "(" * 101 + "规上" + ")" * 101, '"' * 3999]
)
def test_endless_nesting_is_one_line_and_not_a_crash(text: str) -> None:
    began = time.perf_counter()
    with pytest.raises(errors.AudienceError) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_a_hundred_levels_are_read_and_written(lang: str) -> None:
    tree: Tree = ABOVE
    for level in range(99):
        tree = And((tree, SIGNED)) if level % 2 else Or((tree, SIGNED))
    assert parse(format(tree, lang)) == tree
    assert max(depth for _node, depth in walk(tree)) == 100


def test_the_normal_wording_is_what_staff_would_write() -> None:
    tree = parse('above_scale=yes and town in ("逍林镇",桥头镇) and (not signed or name like *鞋业*) and has(sms)')
    assert format(tree) == '规上 = 是 且 镇街 属于 (逍林镇, 桥头镇) 且 (非 已签署 或 企业名称 形如 "*鞋业*") 且 有(短信)'
    assert format(tree, "en") == 'above_scale = yes and town in (逍林镇, 桥头镇) and (not signed or name like "*鞋业*") and has(sms)'

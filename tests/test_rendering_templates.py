"""The texts of the office: found in its folders, read with their front matter, written for a recipient."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outreach.errors import OutreachError
from outreach.i18n import say
from outreach.rendering import frontmatter, templates

GOOD = '+++\ntitle = "试"\nchannel = "sms"\nkind = "通知"\n+++\n您好\n'


def parsed(source: str, name: str = "sms/try") -> templates.MessageTemplate:
    return templates.parse(name, source)


def written(body: str, channel: str = "sms", **fields: Any) -> str:
    source = f'+++\ntitle = "试"\nchannel = "{channel}"\nkind = "通知"\n+++\n{body}'
    return templates.render(parsed(source, f"{channel}/try"), fields)


def test_a_template_is_read_with_its_front_matter() -> None:
    source = '+++\n# 说明\ntitle = "邀请"\nfiled = "SMS_1"\nchannel = "sms"\n\nkind = "推广"\nsignature = " 示例人社 "\n+++\n您好\n'
    template = parsed(source)
    assert (template.title, template.channel, template.kind) == ("邀请", "sms", "推广")
    assert (template.filed, template.signature, template.body, template.body_line) == ("SMS_1", "示例人社", "您好\n", 10)
    assert template.lines == {"title": 3, "filed": 4, "channel": 5, "kind": 7, "signature": 8}
    assert template.text == source
    assert template.file == "sms/try.txt"


def test_letters_and_pledges_need_no_kind_and_end_in_md() -> None:
    template = parsed('+++\ntitle = "公开信"\nchannel = "letter"\n+++\n', "letter/open-letter")
    assert (template.kind, template.file) == ("通知", "letter/open-letter.md")


def test_a_pledge_says_what_it_renews_whether_a_code_is_asked_for_and_where_its_letter_and_privacy_notice_are() -> None:
    template = parsed('+++\ntitle = "倡议书"\nrenews = "no-arrears-2025"\none_time_code = true\nletter = "letter/a"\nprivacy = "pledge/b"\n+++\n', "pledge/a")
    assert (template.renews, template.one_time_code, template.letter, template.privacy) == ("no-arrears-2025", True, "letter/a", "pledge/b")
    with pytest.raises(frontmatter.KeyWrong, match="one_time_code"):
        parsed('+++\ntitle = "倡议书"\none_time_code = "yes"\n+++\n', "pledge/a")
    with pytest.raises(frontmatter.KeyUnknown):
        parsed('+++\ntitle = "公开信"\nrenews = "no-arrears-2025"\n+++\n', "letter/a")


def test_a_letter_says_its_layout_red_head_enclosures_and_whether_a_sheet_goes_with_it() -> None:
    plain = parsed('+++\ntitle = "公开信"\n+++\n', "letter/a")
    assert (plain.layout, plain.red_head, plain.enclosures, plain.form) == ("letter/letter", False, (), False)
    head = 'layout = "letter/own"\nred_head = "示例市人社局文件"\nenclosures = ["《宣传册》", "《问答》"]\nform = true'
    full = parsed(f'+++\ntitle = "公开信"\n{head}\n+++\n', "letter/a")
    assert (full.layout, full.red_head, full.enclosures, full.form) == ("letter/own", "示例市人社局文件", ("《宣传册》", "《问答》"), True)
    assert parsed('+++\ntitle = "公开信"\nred_head = true\n+++\n', "letter/a").red_head is True


@pytest.mark.parametrize(
    "line",
    [
        "layout = 1",
        'layout = "../x"',
        'layout = "letter"',
        "red_head = 1",
        'enclosures = "《宣传册》"',
        "enclosures = [1]",
        'enclosures = ["a", "a"]',
        'form = "yes"',
    ],
)
def test_a_key_of_a_letter_that_is_wrong_is_named_with_its_line(line: str) -> None:
    with pytest.raises(frontmatter.KeyWrong, match=f"line 3: {line.partition(' ')[0]} "):
        parsed(f'+++\ntitle = "公开信"\n{line}\n+++\n', "letter/a")
    with pytest.raises(frontmatter.KeyUnknown):
        parsed(f'+++\ntitle = "倡议书"\n{line}\n+++\n', "pledge/a")


def test_a_translation_lies_beside_its_text_and_is_no_template_of_its_own(tmp_path: Path) -> None:
    (ours := tmp_path / "ours" / "letter").mkdir(parents=True)
    (own := tmp_path / "own" / "letter").mkdir(parents=True)
    for path, title in ((ours / "a.md", "信"), (ours / "a.en.md", "Letter"), (own / "b.md", "另一封")):
        path.write_text(f'+++\ntitle = "{title}"\n+++\n{title}', "utf-8")
    folders = (own.parent, ours.parent)
    assert [stored.name for stored in templates.names(folders)] == ["letter/a", "letter/b"]
    translated = templates.translation(templates.load("letter/a", folders), "en")
    assert translated is not None and translated.title == "Letter"
    (own / "a.md").write_text('+++\ntitle = "我们的信"\n+++\n', "utf-8")
    assert templates.translation(templates.load("letter/a", folders), "en") is None, "the office's own letter is not that which ours translates"


def test_the_digest_is_that_of_the_whole_text() -> None:
    assert parsed(GOOD).digest == parsed(GOOD, "sms/other").digest != parsed(GOOD + " ").digest
    assert len(parsed(GOOD).digest) == 64


@pytest.mark.parametrize(
    ("source", "error", "line", "words"),
    [
        ("", frontmatter.FrontMatterMissing, 1, "+++"),
        ("您好", frontmatter.FrontMatterMissing, 1, "+++"),
        ('\n+++\ntitle = "x"\n+++\n', frontmatter.FrontMatterMissing, 1, "+++"),
        ('+++\ntitle = "x"\n', frontmatter.FrontMatterOpen, 1, "+++"),
        ("+++\ntitle = 邀请\n+++\n", frontmatter.FrontMatterBroken, 2, "key ="),
        ('+++\ntitle = "a"\nchannel = “sms”\n+++\n', frontmatter.FrontMatterBroken, 3, "key ="),
        ('+++\ntitle = "a"\ntitle = "b"\n+++\n', frontmatter.FrontMatterBroken, 3, "key ="),
        ("+++\na = " + "[" * 5000 + "\n+++\n", frontmatter.FrontMatterBroken, 2, "key ="),
        ("+++\na = " + "9" * 5000 + "\n+++\n", frontmatter.FrontMatterBroken, 2, "key ="),
        ('+++\ntitle = "a"\nchannel = "sms"\nknd = "通知"\n+++\n', frontmatter.KeyMisspelt, 4, "kind"),
        ('+++\ntitle = "a"\nchannel = "sms"\n"编号" = "1"\n+++\n', frontmatter.KeyUnknown, 4, "filed"),
        ('+++\ntitle = "a"\nchannel = "sms"\n+++\n', frontmatter.KeyMissing, 1, "kind"),
        ('+++\ntitle = ""\nchannel = "sms"\nkind = "通知"\n+++\n', frontmatter.KeyMissing, 2, "title"),
        ('+++\nchannel = "sms"\nkind = "通知"\n+++\n', frontmatter.KeyMissing, 1, "title"),
        ('+++\ntitle = "a"\nchannel = "letter"\nkind = "通知"\n+++\n', frontmatter.KeyWrong, 3, '"sms"'),
        ('+++\ntitle = "a"\nchannel = "sms"\nkind = "营销"\n+++\n', frontmatter.KeyWrong, 4, "推广"),
        ('+++\ntitle = "a"\nchannel = "sms"\nkind = "通知"\nfiled = 123\n+++\n', frontmatter.KeyWrong, 5, "filed = "),
        ('+++\ntitle = "a"\nchannel = "sms"\nkind = "通知"\nwechat = "x"\n+++\n', frontmatter.KeyWrong, 5, "id"),
        ('+++\ntitle = "a"\nchannel = "sms"\nkind = "通知"\n[wechat]\nthing1 = "x"\n+++\n', frontmatter.KeyWrong, 5, "id"),
        ('+++\ntitle = "a"\nchannel = "sms"\nkind = "通知"\nwechat = {id = "x", thing1 = 1}\n+++\n', frontmatter.KeyWrong, 5, "thing1"),
    ],
)
def test_a_wrong_head_is_told_with_its_line_and_its_cure(source: str, error: type[OutreachError], line: int, words: str) -> None:
    with pytest.raises(error) as caught:
        parsed(source)
    sentence = say(caught.value)
    assert type(caught.value) is error
    assert sentence.startswith(f"sms/try.txt, line {line}: ")
    assert words in sentence and "\n" not in sentence


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["+++", "\n", "title", " = ", '"', "{", "}", "%", "[", "]", "wechat", "=", "邀请", "channel", "sms"])).map("".join))
def test_no_source_ends_in_anything_but_a_refusal(tail: str) -> None:
    for source in (tail, "+++\n" + tail, GOOD + tail):
        try:
            templates.compile(parsed(source))
        except OutreachError as error:
            assert "\n" not in say(error)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """The office's folder, and ours behind it."""
    for folder, names in {
        "office": ["sms/a.txt", "letter/信.md"],
        "ours": ["sms/a.txt", "sms/b.txt", "pledge/p.md", "web/x.txt", "sms/n.md"],
    }.items():
        for name in names:
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            channel, kind = path.parent.name, folder
            path.write_text(f'+++\ntitle = "{kind}"\nchannel = "{channel}"\nkind = "通知"\n+++\n您好', "utf-8")
    return [tmp_path / "office", tmp_path / "absent", tmp_path / "ours"]


def test_the_offices_own_folder_comes_first(folders: list[Path]) -> None:
    assert templates.load("sms/a", folders).title == "office"
    assert templates.load("sms/b", folders).title == "ours"
    assert templates.load("letter/信", folders).origin == folders[0] / "letter" / "信.md"


def test_all_templates_are_listed_once_with_where_they_come_from(folders: list[Path]) -> None:
    assert [(stored.name, stored.origin.parts[-3]) for stored in templates.names(folders)] == [
        ("letter/信", "office"),
        ("pledge/p", "ours"),
        ("sms/a", "office"),
        ("sms/b", "ours"),
    ]


@pytest.mark.parametrize(("name", "nearest"), [("sms/bb", "sms/b"), ("letter/sin", "letter/信"), ("pledge/P", "pledge/p"), ("p", "pledge/p")])
def test_an_absent_template_is_answered_with_the_nearest_name(name: str, nearest: str, folders: list[Path]) -> None:
    with pytest.raises(templates.TemplateNotFound) as caught:
        templates.load(name, folders)
    assert caught.value.data.get("nearest", nearest) == nearest
    assert name in say(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "sms/../sms/a",
        "../office/sms/a",
        "sms/..",
        "sms/.a",
        "sms/a/../b",
        "/etc/passwd",
        "sms//a",
        "sms/a\0",
        "sms/a\n",
        "web/x",
        "sms\\..\\a/b",
        "sms/",
    ],
)
def test_no_name_leads_out_of_the_folders(name: str, folders: list[Path]) -> None:
    with pytest.raises(templates.NameWrong) as caught:
        templates.load(name, folders)
    assert "\n" not in say(caught.value)


def test_the_same_text_has_the_same_digest_however_it_was_saved(folders: list[Path]) -> None:
    plain = templates.load("sms/b", folders)
    path = folders[2] / "sms" / "b.txt"
    path.write_bytes(b"\xef\xbb\xbf" + plain.text.replace("\n", "\r\n").encode())
    assert templates.load("sms/b", folders) == plain
    assert templates.load("sms/b", folders).digest == plain.digest


def test_a_file_of_another_encoding_is_refused_with_its_cure(folders: list[Path]) -> None:
    path = folders[2] / "sms" / "b.txt"
    path.write_bytes(GOOD.encode("gb18030"))
    with pytest.raises(templates.NotUtf8, match="save it as UTF-8") as caught:
        templates.load("sms/b", folders)
    assert caught.value.data["line"] == 2
    assert str(path) in say(caught.value)


def test_what_a_campaign_froze_is_the_template_again(folders: list[Path]) -> None:
    stored = templates.load("sms/a", folders)
    frozen = templates.parse(stored.name, stored.text)
    assert frozen == stored
    assert hash(frozen) == hash(stored)
    assert templates.compile(frozen) is templates.compile(stored)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("\n  您好，\n  {{ 负责人 }}。  \n\n", "您好，张建国。"),
        ("Dear\nprincipal,\n您好", "Dear principal,您好"),
        ("第一段\n续\n\n第二段\n \n\u3000\u3000第三段", "第一段续\n第二段\n第三段"),
        ("{% if 负责人 %}\n{{ 负责人 }}\n{% endif %}\n您好", "张建国您好"),
    ],
)
def test_a_text_message_is_one_line_but_for_empty_lines(body: str, text: str) -> None:
    assert written(body, contact="张建国") == text


def test_every_other_text_keeps_its_lines() -> None:
    assert written("\n# 信\n\n一\n二\n", "letter") == "# 信\n\n一\n二"


def test_an_unknown_field_is_answered_with_the_nearest() -> None:
    with pytest.raises(templates.UnknownField) as caught:
        written("{{ 企业名 }}")
    assert (caught.value.data["field"], caught.value.data["nearest"]) == ("企业名", "企业名称")
    with pytest.raises(templates.UnknownField, match="enterprise"):
        written("{% if False %}{{ enterprize }}{% endif %}", enterprize="x")


def test_a_field_without_a_value_is_told_by_its_chinese_name_and_line() -> None:
    with pytest.raises(templates.FieldMissing) as caught:
        written("一\n{{ serial }}")
    assert say(caught.value).startswith("sms/try.txt, line 7: the field 编号 has no value")


def test_none_prints_as_nothing() -> None:
    assert written("{{ 负责人 }}您好", contact=None) == "您好"


def test_wechat_values_are_expressions() -> None:
    wechat = """wechat = { id = "T1", thing1 = "'《不欠薪倡议书》签订'", thing2 = "企业名称|short(6)", character_string5 = "code" }"""
    template = parsed(f'+++\ntitle = "待办"\nchannel = "wechat"\n{wechat}\n+++\n', "wechat/pledge-invitation")
    assert templates.fields_used(template) == {"enterprise", "code"}
    assert templates.wechat_data(template, {"enterprise": "示例鞋业有限公司", "code": "7K3M9P"}) == {
        "thing1": "《不欠薪倡议书》签订",
        "thing2": "示例鞋业",
        "character_string5": "7K3M9P",
    }
    with pytest.raises(templates.FieldMissing):
        templates.wechat_data(template, {"enterprise": "x"})


@pytest.mark.parametrize("expression", ["", "a b", "x }}{{ y", "{% if x %}", "code %}", "range(3)"])
def test_a_wrong_wechat_expression_is_told_with_its_line(expression: str) -> None:
    source = f'+++\ntitle = "待办"\nchannel = "wechat"\nwechat = {{ id = "T1", thing1 = "{expression}" }}\n+++\n'
    with pytest.raises(frontmatter.TemplateInvalid) as caught:
        templates.compile(parsed(source, "wechat/x"))
    assert caught.value.data["line"] == 4

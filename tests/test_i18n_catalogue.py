"""The Chinese catalogue is complete, says what the English says, and is what people hear; the English source is English."""

import importlib
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import messages
import pytest

import outreach
from outreach import cli, i18n
from outreach.audiences import fields as audience
from outreach.audiences import wording
from outreach.cli.base import help_id
from outreach.errors import NotFound, OutreachError
from outreach.rendering import checks, fields, frontmatter
from outreach.settings import shipped

HAN = re.compile("[\u3007\u3400-\u9fff]")
TYPED = {
    *(*fields.FIELDS.values(), *frontmatter.KINDS, checks.WAY_OUT),
    *(*audience.FIELDS.values(), *(chinese for _english, chinese in wording.WORDS.values())),
    *("退回", "无欠薪", "逍林镇", "桥头镇"),
}
"""Chinese that people type or find in files, whatever language they read."""


def kinds_of_errors() -> list[type[OutreachError]]:
    """Return every class of error of the product."""
    for module in pkgutil.walk_packages(outreach.__path__, "outreach."):
        if ".migrations." not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = [OutreachError]
    for kind in found:
        found += [below for below in kind.__subclasses__() if below.__module__.startswith("outreach.")]
    return found


def commands() -> Iterator[click.Command]:
    """Yield every command whose module is there."""
    context = click.Context(cli.root)
    there = [name for name, place in cli.COMMANDS.items() if find_spec(place.partition(":")[0])]
    waiting: list[click.Command | None] = [cli.root, *(cli.root.get_command(context, name) for name in there)]
    for command in waiting:
        assert command is not None
        yield command
        if isinstance(command, click.Group) and command is not cli.root:
            waiting += command.commands.values()


def test_every_message_is_in_chinese_with_the_same_fields_and_compiled() -> None:
    assert messages.unwritten() == []
    assert messages.incomplete(messages.read(), messages.spoken()) == []
    assert messages.uncompiled() == []


def test_every_error_and_every_command_has_words_in_the_catalogue() -> None:
    known = {message.id for message in messages.read()}
    assert [kind.__qualname__ for kind in kinds_of_errors() if kind.message_id() not in known] == []
    everything = list(commands())
    assert [command.name for command in everything if help_id(command) not in known] == []
    options = [option for command in everything for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if option.help not in known] == []


def test_the_source_speaks_english() -> None:
    typed = re.compile("|".join(sorted(map(re.escape, TYPED), key=len, reverse=True)))
    texts = [part for id in messages.wanted() for part in ([id] if isinstance(id, str) else id)]
    assert [text for text in texts if HAN.search(typed.sub("", text))] == []


def test_a_translation_is_chinese_and_never_calls_the_personal_code_a_one_time_code() -> None:
    said = {str(message.id): str(message.string) for message in messages.read() if isinstance(message.id, str) and message.id}
    assert [chinese for english, chinese in said.items() if "验证码" in chinese and "验证码" not in english and "one-time" not in english] == []
    assert sum(bool(HAN.search(chinese)) for chinese in said.values()) > 0.95 * len(said)
    assert [chinese for chinese in said.values() if re.search("[\u3400-\u9fff]([;:?!]( |$)|\\.$)", chinese)] == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, ["用法：", "选项", "命令", "宣传任务"]),
        (["templates", "--help"], 0, ["用法：", "选项", "命令", "界面语言"]),
        (["staff", "list", "--nosuch"], 2, ["错误：没有选项 '--nosuch'"]),
        (["nosuch"], 2, ["错误：没有命令 'nosuch'"]),
        (["staff", "add"], 2, ["错误：缺少参数"]),
        (["templates", "preview", "sms/nothing"], 1, ["错误：没有模板 sms/nothing"]),
        (["templates", "preview", "sms/pledge-invitation"], 0, ["114 字（UCS-2），2 段", "未填报备编号"]),
    ],
)
def test_a_chinese_run_says_chinese(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: list[str]) -> None:
    assert cli.run(["--lang", "zh", *arguments]) == code
    said = "".join(capsys.readouterr())
    assert [word for word in words if word not in said] == []


def test_a_process_speaks_chinese_unless_told_otherwise() -> None:
    plain = {name: value for name, value in os.environ.items() if name not in ("LANGUAGE", "LANG", "LC_ALL")}
    run = [sys.executable, "-m", "outreach"]
    chinese = subprocess.run([*run, "staff", "--help"], env=plain | {"PYTHONIOENCODING": "utf-8"}, capture_output=True, encoding="utf-8", check=True)
    assert chinese.stdout.startswith("用法：")
    english = subprocess.run([*run, "staff", "--lang", "en", "--help"], env=plain | {"LANGUAGE": "zh_CN"}, capture_output=True, encoding="utf-8", check=True)
    assert english.stdout.startswith("Usage:") and not HAN.search(english.stdout)


def test_the_words_of_an_error_are_translated_and_what_people_wrote_is_not() -> None:
    i18n.use("zh")
    assert i18n.say(NotFound(what="sender", name="sender")) == "没有名为 sender 的发送方。"
    i18n.use("en")
    assert i18n.say(NotFound(what="sender", name="甲")) == "There is no sender called 甲."


def test_a_list_exported_under_chinese_headings_can_be_imported_again(
    tmp_path: Path, new_sqlite: Callable[[], str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OUTREACH_DATABASE_URL", new_sqlite())
    secret, exported = tmp_path / "secret.txt", tmp_path / "名单.csv"
    secret.write_text("correct horse battery")
    sample = tmp_path / "示例.csv"
    shutil.copy(shipped("contacts") / "示例企业名单.csv", sample)
    home = ["--home", str(tmp_path), "--lang", "zh", "--as", "boss", "--password-file", str(secret)]
    assert cli.run(["--home", str(tmp_path), "staff", "add", "boss", "--role", "administrator", "--password-file", str(secret)]) == 0
    assert cli.run([*home, "contacts", "import", str(sample)]) == 0
    assert cli.run([*home, "contacts", "export", "--unmask", "--out", str(exported)]) == 0
    assert HAN.search(exported.read_text("utf-8-sig").splitlines()[0])
    capsys.readouterr()
    assert cli.run([*home, "--format", "json", "contacts", "import", str(exported), "--dry-run"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["read"] == figures["unchanged"] >= 150

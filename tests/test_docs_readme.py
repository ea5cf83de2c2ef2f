"""The two READMEs speak of commands, settings, campaign files, audiences, mappings and templates that are really so."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from outreach import cli, settings
from outreach.audiences import conditions
from outreach.audiences.language import parse
from outreach.audiences.segments import filled_in
from outreach.campaigns import definition
from outreach.contacts import mapping
from outreach.errors import OutreachError
from outreach.rendering import checks, templates

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "README.zh-CN.md")


def text_of(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def parts(page: str) -> list[tuple[str | None, str]]:
    """Return the fenced blocks of a page with their kinds, and the text between them with none."""
    found: list[tuple[str | None, str]] = []
    for place, part in enumerate(re.split(r"^```", text_of(page), flags=re.MULTILINE)):
        kind, _newline, inside = part.partition("\n")
        found.append((kind.strip(), inside) if place % 2 else (None, part))
    return found


def blocks(page: str, kind: str) -> list[str]:
    """Return the fenced blocks of one kind."""
    return [inside for found, inside in parts(page) if found == kind]


def commands(page: str) -> Iterator[list[str]]:
    """Yield the words of every command that a page shows, on a line of a block or in a sentence, without `outreach`."""
    shown = [line.removeprefix("$ ") for block in blocks(page, "") for line in block.splitlines()]
    said = [command for kind, text in parts(page) if kind is None for command in re.findall(r"`(outreach [^`\n]+)`", text)]
    for line in [*shown, *said]:
        if line.startswith("outreach "):
            yield shlex.split(line, comments=True)[1:]


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words lead to, and the words behind it; a verb may be several, as in pause|resume."""
    command: click.Command = cli.root
    context = click.Context(command)
    while words and isinstance(command, click.Group):
        if words[0].startswith("--"):
            words = words[1 if words[0].endswith("|") else 2 :]
            continue
        found = [command.get_command(context, name) for name in words[0].split("|")]
        assert all(found), f"there is no command {words[0]}"
        command, words = found[0], words[1:]  # type: ignore[assignment]
    return command, words


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_is_shown_is_there_with_its_options(page: str) -> None:
    seen = set()
    for words in commands(page):
        command, rest = resolve(words)
        known = {name for param in command.params for name in param.opts} | {"--help"}
        assert {word for word in rest if word.startswith("--")} <= known, words
        seen.add(command.name)
    assert {"init", "check", "import", "plan", "approve", "launch", "up", "serve", "worker", "schedule", "upgrade"} <= seen


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_is_real_and_none_is_left_out(page: str) -> None:
    found = re.finditer(r"^\| (?:key|设置) .*\n\|-\|-\|-\|\n((?:\|.*\n)+)", text_of(page), re.MULTILINE)
    tables = [row for table in found for row in table[1].splitlines()]
    keys = {key for row in tables for key in re.findall(r"`([a-z_]+)`", row.split("|")[1])}
    assert keys == set(settings.Settings.model_fields) - {"home", "sender"}


@pytest.mark.parametrize("page", PAGES)
def test_every_toml_block_is_what_it_is_shown_as(page: str, tmp_path: Path) -> None:
    kinds = set()
    for number, block in enumerate(blocks(page, "toml")):
        values = tomllib.loads(block)
        if "step" in values:
            kinds.add("campaign")
            parse(definition.parse(values, path=page).audience)
        elif "columns" in values:
            kinds.add("mapping")
            path = tmp_path / f"mapping{number}.toml"
            path.write_text(block, "utf-8")
            assert mapping.read(path).columns
        else:
            kinds.add("settings")
            (tmp_path / "outreach.toml").write_text(block, "utf-8")
            assert settings.load(tmp_path)
    assert kinds == {"campaign", "mapping", "settings"}


@pytest.mark.parametrize("page", PAGES)
def test_every_audience_that_is_shown_can_be_asked(page: str) -> None:
    lines = [line for block in blocks(page, "audience") for line in block.splitlines()]
    assert len(lines) >= 6
    for line in lines:
        try:
            conditions.condition(filled_in(parse(line), lambda _name: parse("全部")))
        except OutreachError as error:
            pytest.fail(f"{line}: {error}")


@pytest.mark.parametrize("page", PAGES)
def test_the_template_that_is_shown_may_be_sent(page: str) -> None:
    (block,) = blocks(page, "template")
    fields = {"contact": "张建国", "town": "逍林镇", "enterprise": "示例鞋业有限公司", "enterprise_count": 2, "code": "7K3M9P", "hotline": "12333"}
    found = checks.problems(templates.parse("sms/shown", block.rstrip("\n")), signature="示例人社", links_allowed=False, production=False, samples=[fields])
    assert [problem.id for problem in found] == ["not_filed"]


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", "docs/design-notes.md"])
def test_every_link_to_a_file_leads_somewhere(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text_of(page)):
        assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES)
def test_what_make_is_asked_for_is_a_target(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    asked = set(re.findall(r"(?:^|`)make ([a-z-]+)", text_of(page), re.MULTILINE))
    assert {"demo", "test", "test-all"} <= asked <= targets

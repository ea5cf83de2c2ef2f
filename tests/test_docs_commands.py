"""docs/commands.md says what the commands say, on every machine alike."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from outreach import cli

DOCS = Path(__file__).parent.parent / "docs"
PAGE = DOCS / "commands.md"


def printed(folder: Path, **variables: str) -> bytes:
    """Print the page as a process of its own: click keeps words of the language that its process spoke first."""
    environment = {**os.environ, "OUTREACH_HOME": str(folder), **variables}
    done = subprocess.run([sys.executable, str(DOCS / "commands.py"), "--stdout"], cwd=folder, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def every_command(command: click.Command, path: str) -> list[str]:
    """Return the paths of all commands beneath one."""
    if not isinstance(command, click.Group):
        return []
    context = click.Context(command, info_name=path)
    children = [(f"{path} {name}", command.get_command(context, name)) for name in command.list_commands(context)]
    return [found for child, below in children if below is not None for found in (child, *every_command(below, child))]


@pytest.mark.parametrize("variables", [{"LANG": "C", "COLUMNS": "40", "OUTREACH_LANG": "zh"}, {"LANG": "zh_CN.UTF-8", "LANGUAGE": "zh_CN", "COLUMNS": "300"}])
def test_the_page_of_commands_is_what_make_docs_writes(tmp_path: Path, variables: dict[str, str]) -> None:
    assert printed(tmp_path, **variables) == PAGE.read_bytes(), "run: make docs"


def test_every_command_has_its_place_and_no_other_is_named() -> None:
    headings = re.findall(r"^##+ (outreach .+)$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert headings == every_command(cli.root, "outreach")
    assert {"outreach demo", "outreach campaign launch", "outreach contacts import"} <= set(headings)


def test_what_every_command_takes_is_said_once() -> None:
    page = PAGE.read_text("utf-8")
    assert page.count("`--lang [zh|en]`") == page.count("`--as ACCOUNT`") == 1

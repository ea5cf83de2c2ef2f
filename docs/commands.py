"""Write docs/commands.md from the commands themselves: `make docs`. With `--stdout` the page is printed and no file is touched."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click  # noqa: TID251 - a reader of the command line, not a part of it

from outreach import cli, i18n
from outreach.cli.base import help_id

PAGE = Path(__file__).parent / "commands.md"
COMMON = frozenset({"lang", "home", "format", "as", "password_file"})
"""Options that every command has: said once, at the top."""
WIDE = 10_000
"""Columns of an imagined terminal, so that no sentence is broken and the page is the same on every machine."""

TOP = """# Commands

Written from the commands themselves by `make docs`; do not edit. The same is said, in Chinese or English, by `--help` behind any command.

The result goes to stdout; progress, the next step to take and errors (one line) go to stderr.
The exit code is 0 for done, 1 for refused or not good, 2 for wrong usage and 130 for Ctrl-C.
Group names may be singular or plural."""


def page() -> str:
    """Return the page, in English whatever the settings and the terminal are."""
    i18n.use("en")
    root, *below = contexts(cli.root, None, "outreach")
    parts = [TOP, f"## Every command takes\n\n{options(root, common=True)}\n\nThey go before the group or after the verb."]
    return "\n\n".join([*parts, *(section(context) for context in below)]) + "\n"


def contexts(command: click.Command, parent: click.Context | None, name: str) -> Iterator[click.Context]:
    """Yield the context of a command and of all beneath it, in the order of the help."""
    here = click.Context(command, info_name=name, parent=parent, max_content_width=WIDE, terminal_width=WIDE)
    yield here
    if isinstance(command, click.Group):
        for child in command.list_commands(here):
            found = command.get_command(here, child)
            if found is not None:
                yield from contexts(found, here, child)


def section(context: click.Context) -> str:
    """Return what there is to know of one command; of a group only what it is for."""
    command = context.command
    depth = "##" if context.parent is not None and context.parent.parent is None else "###"
    parts = [f"{depth} {context.command_path}", help_id(command)]
    if not isinstance(command, click.Group):
        parts.append(f"```\n{' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n```")
        parts.append(options(context, common=False))
    return "\n\n".join(part for part in parts if part)


def options(context: click.Context, *, common: bool) -> str:
    """Return a line for each option: those of every command, or the command's own."""
    shown = [param for param in context.command.params if isinstance(param, click.Option) and (param.name in COMMON) is common]
    records = [record for param in shown if (record := param.get_help_record(context))]
    return "\n".join(f"* `{form}` — {' '.join(words.split())}" if words else f"* `{form}`" for form, words in records)


if __name__ == "__main__":
    if "--stdout" in sys.argv[1:]:
        sys.stdout.buffer.write(page().encode())
    else:
        PAGE.write_bytes(page().encode())

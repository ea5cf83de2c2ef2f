"""Write docs/commands.md and docs/commands.zh-CN.md from the commands themselves: `make docs`."""

from pathlib import Path

import click

from outreach import cli, i18n

HERE = Path(__file__).parent
PLACES = {"en": HERE / "commands.md", "zh": HERE / "commands.zh-CN.md"}
TITLES = {"en": "# Commands", "zh": "# 命令"}


def page(lang: str) -> str:
    """Return the page of one language: each command with its usage and help, as the terminal shows it."""
    i18n.use(lang)
    parts = [TITLES[lang]]
    parts += [f"## {context.command_path}\n\n```\n{context.get_help()}\n```" for context in contexts(cli.root, None, "outreach")]
    return "\n\n".join(parts) + "\n"


def contexts(command: click.Command, parent: click.Context | None, name: str) -> list[click.Context]:
    """Return the context of a command and of all beneath it, in the order of the help."""
    here = click.Context(command, info_name=name, parent=parent, max_content_width=100, terminal_width=100)
    if not isinstance(command, click.Group):
        return [here]
    below = [(child, command.get_command(here, child)) for child in command.list_commands(here)]
    return [here, *(context for child, found in below if found is not None for context in contexts(found, here, child))]


if __name__ == "__main__":
    for lang, path in PLACES.items():
        path.write_text(page(lang), "utf-8")

"""The command line: `outreach GROUP VERB`. Each command does one thing and has no logic of its own."""

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from outreach import __version__, i18n, settings
from outreach.cli.base import Group, Office, Option
from outreach.errors import OutreachError, UsageError
from outreach.i18n import gettext as _

COMMANDS = {
    "demo": "outreach.cli.demo:demo",
    "init": "outreach.cli.setup:init",
    "check": "outreach.cli.setup:check",
    "upgrade": "outreach.cli.setup:upgrade",
    "up": "outreach.cli.processes:up",
    "serve": "outreach.cli.processes:serve",
    "worker": "outreach.cli.processes:worker",
    "schedule": "outreach.cli.processes:schedule",
    "sandbox": "outreach.cli.processes:sandbox",
    "contacts": "outreach.cli.contacts:contacts",
    "audience": "outreach.cli.audiences:audience",
    "templates": "outreach.cli.templates:templates",
    "campaign": "outreach.cli.campaigns:campaign",
    "pledges": "outreach.cli.pledges:pledges",
    "papers": "outreach.cli.papers:papers",
    "visits": "outreach.cli.visits:visits",
    "letters": "outreach.cli.letters:letters",
    "replies": "outreach.cli.replies:replies",
    "wechat": "outreach.cli.wechat:wechat",
    "announcements": "outreach.cli.announcements:announcements",
    "report": "outreach.cli.reports:report",
    "staff": "outreach.cli.staff:staff",
}
"""Each command by the place where it stands, so that only the one that runs is imported."""


class ReaderGone(Exception):
    """Whoever read the answer, such as `| head`, has seen enough."""


@contextmanager
def _noticing() -> Iterator[None]:
    """Notice a reader that went away before click and rich do: both would end with 1, and it is no failure."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGone() from error
    except SystemExit as left:
        if isinstance(left.__context__, BrokenPipeError):
            raise ReaderGone() from left
        raise


class Root(Group):
    """The root: finds commands by name, in the singular and in the plural."""

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _noticing():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _noticing():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        known = next((word for word in (name, name + "s", name.removesuffix("s")) if word in COMMANDS), None)
        if known is None:
            return None
        module, _colon, attribute = COMMANDS[known].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group("outreach", cls=Root)
@click.version_option(__version__, prog_name="outreach", cls=Option, help="Show the version and exit.")
@click.pass_context
def root(ctx: click.Context) -> None:
    """Run the office's drive: contacts, campaigns, signatures, reports."""
    ctx.ensure_object(Office)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code: 0 done, 1 refused, 2 wrong usage, 130 Ctrl-C."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code; every error becomes one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    office = Office()
    try:
        _choose_language(arguments)
        _require_readable(arguments)
        code = int(root.main(list(arguments), prog_name="outreach", standalone_mode=False, obj=office) or 0)
        sys.stdout.flush()  # a short answer is written only now, and its reader may have gone
        return code
    except OutreachError as error:
        return _fail(i18n.say(error), error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        return _fail(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return _fail(_("Stopped. Nothing is lost: the same command goes on where it stopped."), 130)
    except (BrokenPipeError, ReaderGone):
        return _leave_quietly()
    except OSError as error:
        return _fail(i18n.say(NoAccess(path=error.filename or _("input or output"), why=error.strerror or str(error))), 1)
    finally:
        office.close()


class NotUtf8(UsageError):
    """An argument is not in the encoding of this terminal, which is {encoding}; set LANG to that of the terminal, such as zh_CN.UTF-8: {argument}"""


class NoAccess(OutreachError):
    """{path}: {why}"""


def _require_readable(arguments: Sequence[str]) -> None:
    """Refuse what a terminal of another encoding typed before it is written anywhere."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise NotUtf8(encoding=sys.getfilesystemencoding(), argument=ascii(argument)) from error


def _leave_quietly() -> int:
    """Say nothing more, also when Python ends and empties its buffers."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
    return 0


def _fail(line: str, code: int) -> int:
    click.echo(_("error: {line}").format(line=" ".join(line.split())), err=True)
    return code


def _choose_language(arguments: Sequence[str]) -> None:
    """Set the language before anything is said: help and errors of parsing come before any command runs."""
    given = dict(zip(arguments, [*arguments[1:], ""], strict=False))
    spelt = next((argument.removeprefix("--lang=") for argument in arguments if argument.startswith("--lang=")), given.get("--lang"))
    try:
        i18n.use(spelt or settings.load(given.get("--home")).lang)
    except OutreachError:
        i18n.use(settings.lang_from_environment())  # the command that needs the settings says what is wrong with them

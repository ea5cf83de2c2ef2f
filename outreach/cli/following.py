"""Wait and show how far it is: progress bars on stderr, and the embedded worker beside them where no other lives."""

import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from outreach.campaigns import directory, progress, trial
from outreach.campaigns import statement as statements
from outreach.cli.base import Office
from outreach.cli.wording import progress_line

LOOK = 0.5
SAY_EVERY = 5.0
"""Seconds between two lines of progress where stderr is no terminal."""
TRIAL_SECONDS = 30.0


@contextmanager
def bar(label: str) -> Iterator[Callable[[int], None]]:
    """Show a running count on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _count: None
        return
    columns = (TextColumn("{task.description}"), TextColumn("{task.completed:,}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(label, total=None)
        yield lambda count: shown.update(task, completed=count)


def follow(office: Office, name: str, *, works: bool) -> None:
    """Show a campaign's progress until it rests; with `works` send it in this process meanwhile."""
    if _look(office, name)[1]:
        return
    worker: AbstractContextManager[Any] = _embedded(office) if works else nullcontext()
    with worker, _shown() as show:
        rests = False
        while not rests:
            time.sleep(LOOK)
            steps, rests = _look(office, name)
            show(steps)


def _look(office: Office, name: str) -> tuple[list[dict[str, Any]], bool]:
    """Return a campaign's statement by step, and whether it rests."""
    with office.database.read() as session:
        campaign = directory.named(session, name)
        rests = progress.resting(session, campaign, settings=office.settings, now=office.now())
        return statements.steps(session, campaign), rests


def _embedded(office: Office) -> AbstractContextManager[Any]:
    """Return a worker in this process; Celery is imported here, so that commands that send nothing start without it."""
    from outreach.worker.embedded import Embedded

    return Embedded(office.settings)


@contextmanager
def _shown() -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    if not sys.stderr.isatty():
        yield _say_now_and_then()
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as shown:
        task = shown.add_task("", total=None)

        def show(steps: list[dict[str, Any]]) -> None:
            done, total = _done(steps)
            shown.update(task, completed=done, total=total or None, description=progress_line(steps))

        yield show


def _say_now_and_then() -> Callable[[list[dict[str, Any]]], None]:
    said = {"at": time.monotonic()}

    def show(steps: list[dict[str, Any]]) -> None:
        if time.monotonic() - said["at"] >= SAY_EVERY:
            said["at"] = time.monotonic()
            click.echo(progress_line(steps), err=True)

    return show


def _done(steps: list[dict[str, Any]]) -> tuple[int, int]:
    total = sum(step["included"] for step in steps)
    waiting = sum(step["waiting"]["queued"] + step["waiting"]["sending"] for step in steps)
    return total - waiting, total


FINAL = ("delivered", "undelivered", "failed", "silent", "skipped")


def follow_delivery(office: Office, delivery: int, *, until_state: Collection[str] = FINAL) -> dict[str, Any]:
    """Send one message outside campaigns and wait for its receipt, or for whatever state will do, for a while."""
    until = time.monotonic() + TRIAL_SECONDS
    with _embedded(office):
        while True:
            with office.database.read() as session:
                found = trial.outcome(session, delivery)
            if found["state"] in until_state or time.monotonic() > until:
                return found
            time.sleep(LOOK / 2)

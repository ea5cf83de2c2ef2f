"""Processes that set letters beside `letters render`, where no worker does, one a core: each sets a few chunks and ends."""

import os
import signal
import subprocess
import sys
from types import TracebackType

import click

from outreach.cli.base import Group, Office, pass_office
from outreach.errors import Unavailable
from outreach.settings import Settings
from outreach.worker.press import Press

CHUNKS = 4
"""Chunks that a process sets before it ends: whatever becomes of who started it, it goes on for seconds only."""
AT_MOST = 4
"""Processes at once, on a machine of many cores."""


class PressBroke(Unavailable):
    """A process that set letters ended: {why}. What was set is kept; the same command goes on where it stopped."""


@click.command("press", cls=Group.command_class, hidden=True)
@pass_office
def press(office: Office) -> None:
    """Set a few chunks of letters that wait, and end."""
    mine = Press(office.database, office.settings)
    for _chunk in range(CHUNKS):
        if not mine.set_next():
            return


class Presses:
    """As many processes as the machine has cores for; who leaves the `with` has stopped them all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._count = max(1, min(os.cpu_count() or 1, AT_MOST))
        self._running: list[subprocess.Popen[bytes]] = []

    def keep_going(self) -> None:
        """Start a process in the place of each that has ended. Raises PressBroke where one ended badly."""
        for ended in [process for process in self._running if process.poll() is not None]:
            self._running.remove(ended)
            if ended.returncode and ended.stderr:
                raise PressBroke(why=_last_line(ended.stderr.read()) or ended.returncode)
        while len(self._running) < self._count:
            command = [sys.executable, "-m", "outreach", "letters", "press"]
            environment = {**os.environ, "OUTREACH_HOME": str(self._settings.home.resolve())}
            started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
            self._running.append(started)

    def __enter__(self) -> "Presses":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let them end; who was interrupted interrupts them, so that each lets go of its chunk."""
        for process in self._running:
            if error is not None:
                process.send_signal(signal.SIGINT)
        for process in self._running:
            process.communicate()


def _last_line(said: bytes) -> str:
    lines = [line.strip() for line in said.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""

"""The processes of an office: each leaves well when told to, and `up` does not outlive its sandbox in silence."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from office import Stranger, free_port, until  # isort: skip


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stranger]:
    with Stranger(tmp_path_factory.mktemp("office") / "home") as opened:
        yield opened


def running(office: Stranger, *arguments: str) -> "subprocess.Popen[str]":
    """Start a server on ports of its own, and wait until its web answers."""
    office.web, office.gateway = free_port(), free_port()
    process = office.start(*arguments)
    office.children.append(process)
    until(lambda: process.poll() is not None or office._answers(office.web, "/healthz"), seconds=60)
    assert process.poll() is None, process.communicate()
    return process


def sandbox_of(process: "subprocess.Popen[str]") -> int:
    """Return the process id of the sandbox that another process started."""
    import psutil

    return next(int(child.pid) for child in psutil.Process(process.pid).children() if "sandbox" in child.cmdline())


def stopped(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Tell a server to stop; return its exit code and what it said of errors."""
    process.send_signal(signal.SIGTERM)
    _out, err = process.communicate(timeout=30)
    return process.returncode, "".join(line for line in err.splitlines() if "error" in line)


def test_a_server_that_is_told_to_stop_has_done_its_work(office: Stranger) -> None:
    assert stopped(running(office, "serve")) == (0, "")


@pytest.mark.long
def test_up_leaves_with_one_line_when_its_sandbox_ends(office: Stranger) -> None:
    process = running(office, "up", "--sandbox")
    os.kill(sandbox_of(process), signal.SIGKILL)
    began = time.monotonic()
    _out, err = process.communicate(timeout=30)
    assert (process.returncode, time.monotonic() - began < 15) == (1, True)
    assert [line for line in err.splitlines() if line.startswith("error")] == [err.splitlines()[-1]]
    assert "The sandbox has ended, and up with it: exit code -9" in err


@pytest.mark.long
def test_up_says_at_once_why_its_sandbox_does_not_start_and_takes_it_along_when_told_to_stop(office: Stranger) -> None:
    holder, gateway = running(office, "up", "--sandbox"), office.gateway
    assert office._answers(gateway, "/_sandbox/health")
    office.web, office.gateway = free_port(), free_port()
    refused = office.run("up", "--sandbox", seconds=60)
    assert (refused.code, len(refused.err.splitlines())) == (1, 1), refused
    assert "outreach sandbox did not start" in refused.err and "another sandbox writes to this ledger" in refused.err
    assert stopped(holder) == (0, "")
    until(lambda: not office._answers(gateway, "/_sandbox/health"), seconds=30)

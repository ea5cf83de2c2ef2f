"""Ctrl-C waits for the step under way, but only once, and only where it would have stopped the command."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from outreach.cli.interrupts import between_steps


@pytest.fixture(autouse=True)
def as_a_shell_starts_it() -> Iterator[None]:
    taken = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, taken)


def press() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_is_taken_between_two_steps() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), between_steps() as step:
        for page in range(5):
            if page == 2:
                press()
            done.append(page)
            step()
    assert done == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_the_last_step_is_taken_at_the_end() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), between_steps():
        press()
        done.append("all")
    assert done == ["all"]


def test_a_second_ctrl_c_is_taken_at_once() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), between_steps():
        press()
        done.append("first")
        press()
        done.append("second")
    assert done == ["first"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_goes_wrong_in_a_step_is_told_before_a_ctrl_c() -> None:
    with pytest.raises(ZeroDivisionError), between_steps():
        press()
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_command_that_ctrl_c_does_not_stop_goes_on() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with between_steps() as step:
        press()
        step()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_thread_takes_no_ctrl_c() -> None:
    done = []

    def work() -> None:
        with between_steps() as step:
            step()
            done.append("all")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["all"]

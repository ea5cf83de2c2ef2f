"""Ctrl-C between two steps: what is under way is finished and counted first, so that what is told is what was done."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def between_steps() -> Iterator[Callable[[], None]]:
    """Hold Ctrl-C back: KeyboardInterrupt is raised where the yielded function is called, or at the end of the block.

    Else it would fall between the commit of a step and its count. Steps should take no longer than people wait; who presses Ctrl-C a
    second time means it at once, and the step under way may then be kept without being counted.
    """
    taken = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    if taken is not signal.default_int_handler:  # another thread gets none; `nohup … &` is not to be stopped by it
        yield lambda: None
        return
    pressed = False

    def hold(_number: int, _frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    def step() -> None:
        if pressed:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, hold)
    try:
        yield step
    finally:
        signal.signal(signal.SIGINT, taken)
    step()

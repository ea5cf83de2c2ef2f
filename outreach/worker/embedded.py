"""A real Celery worker inside this process, on an in-memory broker: a laptop needs no server."""

import logging
import signal
import threading
from types import TracebackType
from typing import Any

from celery import Celery
from celery.worker import WorkController

from outreach.settings import Settings
from outreach.worker import app as apps
from outreach.worker.duty import TICK, Duty


class Embedded:
    """A worker in a thread, and the bell beside it, for as long as the `with` lasts."""

    def __init__(self, settings: Settings) -> None:
        self._duty = Duty(settings)
        self._app = apps.make(settings.model_copy(update={"broker_url": "memory://"}), self._duty)
        self._ready = threading.Event()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._worker: Any = None

    def __enter__(self) -> "Embedded":
        logging.getLogger("celery").setLevel(logging.ERROR)
        self._worker = _controller(self._app, self._ready)
        for work in (self._worker.start, self._ring):
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            self._threads.append(thread)
        self._ready.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._worker.stop()
        for thread in self._threads:
            thread.join(30)
        self._duty.close()

    def _ring(self) -> None:
        while not self._over.is_set():
            for task in apps.BELLS:
                self._app.send_task(f"outreach.{task}", expires=apps.STALE)
            self._over.wait(TICK.total_seconds() / 2)


def _controller(app: Celery, ready: threading.Event) -> Any:
    class Controller(app.WorkController):  # type: ignore[misc]
        """Celery sends `worker_ready` from its command line only; this tells it here."""

        def on_consumer_ready(self, _consumer: Any) -> None:
            ready.set()

    assert issubclass(Controller, WorkController)
    return Controller(app=app, pool_cls="solo", concurrency=1, without_heartbeat=True, without_mingle=True, without_gossip=True, loglevel="ERROR")


def work_alone(settings: Settings) -> None:
    """Work in this process until SIGTERM or Ctrl-C: a worker for an office without a broker."""
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    with Embedded(settings):
        over.wait()

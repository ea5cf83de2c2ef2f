"""The Celery app: three tasks without arguments, and the schedule that rings for them."""

import logging
from collections.abc import Callable
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown

from outreach import i18n
from outreach.errors import OutreachError
from outreach.settings import Settings
from outreach.worker.duty import TICK, Duty

log = logging.getLogger("outreach.worker")
STALE = 3
"""Seconds after which a bell nobody heard is thrown away: the schedule has rung again meanwhile."""
BELLS = ("send", "tick", "render")
LONGEST_SETTING = 600
"""Seconds after which a process that sets letters is killed: an office's own layout may go round in a circle, and nothing else ends it."""

LARGEST_PROCESS = 900_000
"""Kilobytes that a process may have grown to before it makes room for a new one: setting letters takes 700 MB in the long run, measured."""


def make(settings: Settings, duty: Duty | None = None) -> Celery:
    """Make the Celery app of an office. Nothing travels in its messages; everything that matters is a row.

    Without a `duty` each process that works makes its own.
    """
    app = Celery("outreach", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_max_memory_per_child=LARGEST_PROCESS,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"polling_interval": 0.01} if settings.broker_url.startswith("memory") else {},
        task_default_queue="outreach",
        timezone="UTC",
        beat_schedule={name: {"task": f"outreach.{name}", "schedule": TICK.total_seconds(), "options": {"expires": STALE}} for name in BELLS},
    )
    _add_tasks(app, settings, duty)
    return app


def _carefully(work: Callable[[], Any]) -> Any:
    """Do a task's work; what goes wrong in a way we know is one line in the log, and the next bell tries again."""
    try:
        return work()
    except OutreachError as error:
        log.error(i18n.say(error))
        return None


def _add_tasks(app: Celery, settings: Settings, given: Duty | None) -> None:
    duties: dict[str, Duty] = {"mine": given} if given else {}

    def duty() -> Duty:
        if "mine" not in duties:
            duties["mine"] = Duty(settings)
        return duties["mine"]

    @app.task(name="outreach.send")  # type: ignore[untyped-decorator]
    def send() -> None:
        if _carefully(duty().send):
            app.send_task("outreach.send", expires=STALE)  # there may be more: do not wait for the schedule

    @app.task(name="outreach.tick")  # type: ignore[untyped-decorator]
    def tick() -> None:
        _carefully(duty().tick)

    @app.task(name="outreach.render", time_limit=LONGEST_SETTING)  # type: ignore[untyped-decorator]
    def render() -> None:
        if _carefully(duty().render):
            app.send_task("outreach.render", expires=STALE)

    def forget(**_: Any) -> None:
        duties.clear()  # after a fork neither connections nor loop may be shared

    def leave(**_: Any) -> None:
        for mine in duties.values():
            mine.close()

    worker_process_init.connect(forget, weak=False)
    worker_process_shutdown.connect(leave, weak=False)

"""Run a Celery worker, or the schedule alone, in the foreground."""

from celery.apps.beat import Beat
from celery.beat import Scheduler

from outreach.errors import Misconfigured
from outreach.settings import Settings
from outreach.worker import app as apps

IN_MEMORY = "celery.beat:Scheduler"
"""The schedule is two lines of code: it needs no file."""


def work(settings: Settings, *, concurrency: int) -> None:
    """Work until SIGTERM (finishes what is under way) or SIGINT. Every worker rings the bell too: a second ring costs nothing."""
    if settings.broker_url.startswith("memory"):
        from outreach.worker.embedded import work_alone

        work_alone(settings)
        return
    app = apps.make(settings)
    worker = app.Worker(
        hostname="outreach@%h",
        pool_cls="prefork",
        concurrency=concurrency,
        beat=True,
        schedule_filename=None,
        scheduler=IN_MEMORY,
        without_gossip=True,
        without_mingle=True,
        loglevel="WARNING",
        optimization="fair",
    )
    worker.start()
    raise SystemExit(worker.exitcode)


def schedule(settings: Settings) -> None:
    """Ring the bell until stopped."""
    if settings.broker_url.startswith("memory"):
        raise Misconfigured(key="broker_url", why="a schedule of its own needs redis://; with memory:// run: outreach worker")
    Beat(app=apps.make(settings), scheduler_cls=Scheduler, loglevel="WARNING").run()

"""A step that comes again (every, until): occurrences on a grid of time, of which those that were missed collapse into the latest.

The grid of a recipient begins when the step is due for the first time, `after` the end of the step before, and has a line each `every`.
Occurrence n belongs to line n. What is written at any moment is the latest line that has passed, if it passed after the occurrence
before it was over; so an outage, a pause or a night brings one message and not all that were missed, nor one on the heels of another.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Integer
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from outreach import clock
from outreach.campaigns import drafts
from outreach.campaigns.definition import Definition, Step
from outreach.errors import BadInput
from outreach.settings import Settings, seconds

SHORTEST = timedelta(hours=1)
"""In production; a rehearsal may see a year go by in minutes."""
SHORTEST_REHEARSED = timedelta(seconds=1)


class NotLast(BadInput):
    """Step {step} comes again (every), so what follows it would never be due; make it the last step, or take `every` out."""


class Endless(BadInput):
    """Step {step} comes again and again; give it an end such as until = 2026-12-31, or the campaign a deadline."""


class UntilAlone(BadInput):
    """Step {step} says until when but not how often; add how often it comes again, such as every = "7d", or take `until` out."""


class TooOften(BadInput):
    """Step {step} would come again every {every}; it must be {shortest} at least."""


class NeverDue(BadInput):
    """Step {step} would be due on {due} at the earliest, when it is over already ({until}); mend `until`, or `after`."""


class Periods(FunctionElement[int]):
    """How many whole periods lie between two moments: `Periods(since, until, after, period)`, counted from `after` seconds past `since`.

    Before that it is nothing or less.
    """

    type = Integer()
    name = "periods"
    inherit_cache = True


@compiles(Periods, "sqlite")
def _of_microseconds(element: Periods, compiler: SQLCompiler, **options: Any) -> str:
    since, until, after, period = (compiler.process(clause, **options) for clause in element.clauses)
    return f"((({until}) - ({since}) - ({after}) * 1000000) / (({period}) * 1000000))"


@compiles(Periods, "postgresql")
def _of_timestamps(element: Periods, compiler: SQLCompiler, **options: Any) -> str:
    since, until, after, period = (compiler.process(clause, **options) for clause in element.clauses)
    return f"cast(floor((extract(epoch from (({until}) - ({since}))) - ({after})) / ({period})) as bigint)"


def require_sound(definition: Definition, settings: Settings, *, now: datetime) -> None:
    """Refuse a step that would come again for ever, too often, never, or with others behind it.

    Raises NotLast, Endless, UntilAlone, TooOften and NeverDue.
    """
    shortest = SHORTEST_REHEARSED if settings.rehearsal else SHORTEST
    for number, step in enumerate(definition.steps, 1):
        if step.every is None:
            if step.until is not None:
                raise UntilAlone(step=number)
            continue
        if number < len(definition.steps):
            raise NotLast(step=number)
        if step.every < shortest:
            raise TooOften(step=number, every=seconds(step.every), shortest=seconds(shortest))
        over = until(definition, step)
        if over is None:
            raise Endless(step=number)
        if not most(definition, number, now=now):
            raise NeverDue(step=number, due=_shown(earliest(definition, number, now=now)), until=_shown(over))


def _shown(moment: datetime) -> str:
    return moment.astimezone(clock.OFFICE_ZONE).strftime("%Y-%m-%d %H:%M")


def until(definition: Definition, step: Step) -> datetime | None:
    """Return the moment from which a recurring step is due no more: a day counts until its end, and without one the deadline does."""
    end = step.until or definition.deadline
    return drafts.end(end) if step.every is not None and end is not None else None


def earliest(definition: Definition, number: int, *, now: datetime) -> datetime:
    """Return when a step is due at the earliest, for a campaign that were launched now."""
    begins = max(now, definition.start) if definition.start else now
    return begins + sum((step.after for step in definition.steps[:number]), timedelta(0))


def most(definition: Definition, number: int, *, now: datetime) -> int:
    """Return how often a step can come at most: 1 for one that does not come again."""
    step = definition.steps[number - 1]
    over = until(definition, step)
    if step.every is None or over is None:
        return 1
    return max(0, -((earliest(definition, number, now=now) - over) // step.every))

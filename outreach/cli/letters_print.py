"""`outreach letters render`: batches of what is due, set by the workers or here, and the files that the print house and the post are given."""

import contextlib
import glob
import hashlib
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from outreach import i18n
from outreach.cli import report_choice as choice
from outreach.cli.base import Group, Office, acting, option
from outreach.cli.files import FileUnwritable, whole_file
from outreach.cli.output import answer, command, note, require_document
from outreach.cli.presses import Presses, press
from outreach.errors import Refused, UsageError
from outreach.i18n import gettext as _
from outreach.letters import batches, directory, output, printing, pulling
from outreach.letters.batches import PER_BATCH, Inspected, Made
from outreach.reports import letters as lists
from outreach.reports import town_books, words, workbook
from outreach.worker import alive as workers
from outreach.worker.press import Press

LOOK = 0.3
QUIET = 2.0
"""Seconds for which nothing is shown."""
SAY_EVERY = 5.0
"""Seconds between two lines of progress where stderr is no terminal."""
STUCK = 30.0
"""Seconds without a letter after which this process sets them itself, though a worker lives."""
BY_ITSELF = 600
"""Letters that this process sets by itself; beyond that others help, one a core."""
NAMED = 20
"""Codes that are named in a line; all of them stand in JSON."""


class BatchElsewhere(Refused):
    """Batch {number} is of campaign {campaign}: outreach letters render {campaign} --batch {number} --out DIR"""


class OneBatchOnly(UsageError):
    """--batch writes one batch again: leave {option} out."""


class _Rehearsed(Exception):
    """What was written is to be taken back."""


def add_to(group: Group) -> None:
    """Add the verb to the group `letters`."""
    group.add_command(render)
    group.add_command(press)


@click.command("render", cls=Group.command_class)
@click.argument("campaign")
@option("--out", "folder", type=click.Path(path_type=Path, file_okay=False), required=True, metavar="DIR", help="The folder to write into.")
@choice.town_option
@option("--per-batch", type=click.IntRange(1, 5000), metavar="N", help="Letters of a batch at most; without it, 1000.")
@option("--limit", type=click.IntRange(1), metavar="N", help="Letters that are taken into batches now at most.")
@option("--batch", "number", type=click.IntRange(1), metavar="N", help="Only write the files of this batch again.")
@option("--dry-run", is_flag=True, help="Only say what would be printed.")
@acting
def render(office: Office, campaign: str, folder: Path, town: str | None, per_batch: int | None, limit: int | None, number: int | None, dry_run: bool) -> None:
    """Print a campaign's letters that are due: batches by town, each as one PDF with its hand-over sheet, labels, envelopes and list."""
    require_document(office)
    own = choice.town(office, town) or ""
    if number is not None:
        if other := next((name for name, value in {"--per-batch": per_batch, "--limit": limit, "--dry-run": dry_run}.items() if value), None):
            raise OneBatchOnly(option=other)
        _write_one(office, campaign, number, folder)
        return
    with office.database.read() as session:
        choice.require_town(session, own or None)
        state = batches.campaign(session, campaign, settings=office.settings).state
        looked = batches.inspect(session, campaign, settings=office.settings, town=own, now=office.now())
    for proof in looked.proofs:
        printing.prove(proof, settings=office.settings)
    if not dry_run:
        _make_folder(folder)  # before any letter is taken
    made = _make(office, campaign, looked, town=own, per_batch=per_batch or PER_BATCH, limit=limit, dry_run=dry_run)
    written: list[dict[str, Any]] = []
    if office.settings.rehearsal:
        note(_("This is a rehearsal: do not post these letters, for nobody can sign with their codes once the office is in production."))
    if not dry_run:
        with office.database.read() as session:
            going = batches.open_batches(session, campaign, settings=office.settings, town=own)
        rests = _wait(office, campaign, going)
        written = [_write(office, key, folder) for key in going if _is_set(office, key)]
        if rests or state == "paused":
            note(_("Campaign {name} rests; what is not set yet waits until it goes on.").format(name=campaign))
    document = _document(campaign, made, looked, written) | {"left_since": _left_since(office, made, dry_run=dry_run), "dry_run": dry_run}
    answer(office, document, _lines(document), next_step=_next(state, [one["batch"] for one in written]))


def _next(state: str, ready: Sequence[int]) -> str:
    if not ready:
        return ""
    return f"outreach letters discard {ready[0]}" if state == "cancelled" else command("outreach letters posted", *ready)


def _make(office: Office, campaign: str, looked: Inspected, *, town: str, per_batch: int, limit: int | None, dry_run: bool) -> Made:
    made = Made(due=0)
    with contextlib.suppress(_Rehearsed), office.database.write() as session:
        made = batches.make(
            session,
            campaign,
            settings=office.settings,
            town=town,
            per_batch=per_batch,
            limit=limit,
            apart=looked.apart,
            by=office.actor,
            now=office.now(),
        )
        if made.letters:
            office.record(session, "letters.render", campaign, letters=made.letters, batches=len(made.batches), skipped=dict(made.skipped))
        if dry_run:
            raise _Rehearsed()
    return made


def _left_since(office: Office, made: Made, *, dry_run: bool) -> int:
    """Return how many letters have left the batches that were made just now: they were answered meanwhile, or could not be set."""
    if not made.batches or dry_run:
        return 0
    with office.database.read() as session:
        stay = printing.standing(session, made.batches)
    return made.letters - stay.letters


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileUnwritable(path=folder, why=error.strerror or error) from error


# waiting


def _wait(office: Office, campaign: str, going: Sequence[int]) -> bool:
    """Wait until these batches are set, setting them here where no worker does; return whether the campaign rests and some are not."""
    own_press, moved, open_ = Press(office.database, office.settings), time.monotonic(), -1
    with _progress() as show, Presses(office.settings) as presses:
        while True:
            with office.database.read() as session:
                standing = printing.standing(session, going)
                resting = batches.campaign(session, campaign, settings=office.settings).state == "paused"
                alive = workers.lives(session, now=office.now())
                free = printing.waits(session, settings=office.settings)
            show(standing.letters - standing.open, standing.letters)
            if not standing.batches or resting:
                return bool(standing.batches)
            if standing.open != open_:
                moved, open_ = time.monotonic(), standing.open
            mine = not alive or time.monotonic() - moved > STUCK
            if mine and standing.open > BY_ITSELF:
                if free:  # else all is in somebody's hands, or in those of one who died: then his lease runs out
                    presses.keep_going()
                time.sleep(LOOK)
            elif not (mine and own_press.set_next()):
                time.sleep(LOOK)


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show how many letters are set, once that takes longer than a moment: a bar at a terminal, else a line now and then."""
    began = time.monotonic()
    if not sys.stderr.isatty():
        yield _say_now_and_then(began)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=True) as shown:
        task = shown.add_task(_("Letters set"), total=None)

        def show(done: int, total: int) -> None:
            if shown.disable and time.monotonic() - began > QUIET:
                shown.disable = False
                shown.start()
            shown.update(task, completed=done, total=total)

        yield show


def _say_now_and_then(began: float) -> Callable[[int, int], None]:
    said = {"at": began - SAY_EVERY + QUIET}

    def show(done: int, total: int) -> None:
        if time.monotonic() - said["at"] >= SAY_EVERY:
            said["at"] = time.monotonic()
            note(_("Letters set: {done} of {total}").format(done=done, total=total))

    return show


# the files


def _is_set(office: Office, number: int) -> bool:
    with office.database.read() as session:
        return directory.batch(session, number, settings=office.settings).state == "rendered"


def _write_one(office: Office, campaign: str, number: int, folder: Path) -> None:
    with office.database.read() as session:
        found = output.batch(session, number, settings=office.settings)
    office.require_town(found.town)
    if found.campaign != campaign:
        raise BatchElsewhere(number=number, campaign=found.campaign)
    _make_folder(folder)
    written = _write(office, number, folder)
    answer(office, {"campaign": campaign, "batches": [written]}, _batch_lines(written), next_step="outreach letters batches")


def _write(office: Office, number: int, folder: Path) -> dict[str, Any]:
    """Write the files of a batch, each whole or not at all, and say what is in them."""
    settings = office.settings
    with office.database.read() as session:
        batch = output.batch(session, number, settings=settings)
        needless = pulling.needless(session, settings=settings, batch=number)
    stem = town_books.file_name(batch.town, set()).removesuffix(".xlsx") + f"-{number}"
    whole = output.whole(batch, settings=settings)
    contents = {
        f"{stem}.pdf": (whole.content, batch.pages),
        f"{stem}-标签.pdf": (output.labels(batch, settings=settings), None),
        f"{stem}-信封.pdf": (output.envelopes(batch, settings=settings), None),
        f"{stem}-清单.csv": (_list(batch.letters), None),
    }
    files = [(name, pages, hashlib.sha256(content).hexdigest()) for name, (content, pages) in contents.items()]
    contents[f"{stem}-交接单.pdf"] = (output.handover(batch, files, settings=settings), None)
    for name, (content, _pages) in contents.items():
        with whole_file(folder / name) as stream:
            stream.write(content)
        _tidy(folder, name)
    return {
        "batch": number,
        "town": batch.town,
        "letters": len(batch.letters),
        "pages": batch.pages,
        "sha256": files[0][2],
        "same": whole.same,
        "files": [str(folder / name) for name in contents],
        "pull_out": [row.code for row in batch.letters if row.delivery_id in needless],
    }


def _tidy(folder: Path, name: str) -> None:
    """Take away what a process that was killed had begun to write of a file: the folder goes to the print house."""
    for part in folder.glob(f"{glob.escape(name)}.*.part"):
        try:
            os.kill(int(part.name.split(".")[-2]), 0)
        except ProcessLookupError:
            part.unlink(missing_ok=True)
        except (OSError, ValueError):
            continue  # somebody else's, and at work


def _list(letters: Sequence[Any]) -> bytes:
    """Return the list of a batch for the print house, in Chinese as all that is printed."""
    stream = io.BytesIO()
    with i18n.speaking("zh"):
        workbook.write_csv(lists.printed_list(letters), stream)
    return stream.getvalue()


# the answer


def _document(campaign: str, made: Made, looked: Inspected, written: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "campaign": campaign,
        "due": made.due,
        "letters": made.letters,
        "skipped": dict(made.skipped),
        "unsettable": [{"code": one.code, "enterprise": one.enterprise, "characters": one.characters} for one in looked.apart.values()],
        "left": made.left,
        "new_batches": list(made.batches),
        "adds_up": made.due == made.letters + sum(made.skipped.values()) + made.apart + made.left,
        "batches": list(written),
    }


def _lines(document: Mapping[str, Any]) -> Iterator[str]:
    figures = {"due": document["due"], "letters": document["letters"], "skipped": sum(document["skipped"].values()), "left": document["left"]}
    words_ = _("Due {due} = into batches {letters} + not sent {skipped} + not to be set {apart} + left for later {left}")
    yield words_.format(**figures, apart=len(document["unsettable"]))
    for reason, count in document["skipped"].items():
        yield _("  not sent, {reason}: {count}").format(reason=words.skip_reason(reason, "letter"), count=count)
    for one in document["unsettable"][:NAMED]:
        yield _("  not to be set: {code} {enterprise}, which holds {characters}; lay a font that has it into fonts/").format(**one)
    if document["left_since"]:
        yield _("  left their batch while it was set, for they were answered or cannot be set: {count}").format(count=document["left_since"])
    if document["dry_run"]:
        yield _("A rehearsal: nothing was recorded.")
    for one in document["batches"]:
        yield from _batch_lines(one)


def _batch_lines(one: Mapping[str, Any]) -> Iterator[str]:
    yield _("Batch {batch} {town}: letters {letters}, pages {pages}, in {file}").format(**one, file=one["files"][0])
    if not one["same"]:
        yield _("  It is not what was printed before: letters were taken out of it, or a font, the address of the pages or the key changed since.")
    if one["pull_out"]:
        more = _("and {count} more").format(count=len(one["pull_out"]) - NAMED) if len(one["pull_out"]) > NAMED else ""
        yield _("  To pull out before posting, for they need not go any more: {codes}").format(codes=" ".join([*one["pull_out"][:NAMED], more]).strip())

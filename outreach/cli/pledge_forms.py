"""Whose sheets `outreach pledges form` prints, and how: imported by that verb alone, for what sets them would double the start of every other."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from outreach.audiences import conditions, segments
from outreach.cli.base import Office
from outreach.cli.files import whole_file
from outreach.cli.output import answer, note
from outreach.errors import UsageError
from outreach.i18n import gettext as _
from outreach.pledges import sheets
from outreach.pledges.sheets import Batch
from outreach.rendering.fonts import GlyphMissing

MANY = 200
"""Sheets that take longer than a second or two to set."""


class FormsOfNothing(UsageError):
    """Say whose sheets are to be printed: codes, --campaign NAME, a --town or --village; or --blank N for whoever walks in."""


class FormsOfTwo(UsageError):
    """Give either codes or --campaign NAME, not both."""


class BlankSomewhere(UsageError):
    """Blank sheets know no --village and no --audience: give codes or --campaign NAME for those of enterprises."""


class PledgeNotWanted(UsageError):
    """--pledge NAME says what is printed on --blank sheets; those of a campaign bear the pledge that it asks for."""


def print_forms(
    office: Office,
    *,
    codes: Sequence[str],
    campaign: str | None,
    towns: Sequence[str],
    villages: Sequence[str],
    audience: str | None,
    event: str,
    blank: int | None,
    pledge: str,
    out: Path,
) -> None:
    """Write the sheets that are asked for into one PDF, and say how many they are."""
    _require_clear(codes, campaign, towns, [*villages, *filter(None, [audience])], blank=blank, pledge=pledge)
    for town in towns:
        office.require_town(town)
    towns = [own] if (own := office.own_town()) else towns
    batches: list[Batch] = []
    if codes or campaign or not blank:
        batches += _own_sheets(office, codes, campaign, towns=towns, villages=villages, audience=audience)
    if blank:
        batches.append(_blank_sheets(office, blank, campaign, pledge, town=towns[0] if len(towns) == 1 else ""))
    batches, left_out = sheets.printable(sheets.at_event(batches, event), settings=office.settings)
    if not batches:
        name, characters = next(iter(left_out.items()))
        raise GlyphMissing(name=name, characters=characters, folder=office.settings.home / "fonts")
    _answer(office, out, batches, left_out, blank=blank or 0)


def _require_clear(codes: Sequence[str], campaign: str | None, towns: Sequence[str], narrowed: Sequence[str], *, blank: int | None, pledge: str) -> None:
    named = bool(codes or campaign)
    if codes and campaign:
        raise FormsOfTwo(what="")
    if pledge and (not blank or campaign):
        raise PledgeNotWanted(what="")
    if blank and narrowed and not named:
        raise BlankSomewhere(what="")
    if not (named or blank or towns or narrowed):
        raise FormsOfNothing(what="")


def _own_sheets(
    office: Office, codes: Sequence[str], campaign: str | None, *, towns: Sequence[str], villages: Sequence[str], audience: str | None
) -> list[Batch]:
    """Return the sheets that have a QR code of their own."""
    with office.database.read() as session:
        chosen = conditions.selected_enterprise_ids(segments.audience(session, audience)) if audience else None
        where = sheets.Where(towns, villages, chosen)
        if codes:
            return sheets.of_codes(session, codes, settings=office.settings, where=where)
        if campaign:
            return sheets.of_campaign(session, campaign, settings=office.settings, where=where)
        return sheets.of_place(session, settings=office.settings, where=where)


def _blank_sheets(office: Office, count: int, campaign: str | None, pledge: str, *, town: str) -> Batch:
    """Return sheets for whoever walks in; where they are for one town, it stands on them."""
    with office.database.write() as session:
        if campaign:
            version = sheets.version_of_campaign(session, campaign, settings=office.settings)
        else:
            version = sheets.version_asked(session, pledge, settings=office.settings, now=office.now())
    return sheets.blank(version, count, town=town, settings=office.settings)


def _answer(office: Office, out: Path, batches: Sequence[Batch], left_out: dict[str, str], *, blank: int) -> None:
    count = sum(len(batch.sheets) for batch in batches)
    if count > MANY:
        note(_("Setting {count} sheets …").format(count=count))
    dated = max(batch.version.made_at for batch in batches)  # as the texts are: the same sheets are the same file, however often
    with whole_file(out) as stream, _progress(count) as progress:
        size = sheets.write(batches, stream, settings=office.settings, now=dated, progress=progress)
    for name, characters in left_out.items():
        note(_("Left out: {enterprise}, for no font here has {characters}. Lay one that has it into fonts/").format(enterprise=name, characters=characters))
    lines = [_("Sheets to sign by hand: {count}, in {path}.").format(count=count, path=out)]
    if blank:
        lines.append(_("Of them blank, to be recorded by the number of the enterprise: {count}").format(count=blank))
    document = {"sheets": count, "blank": blank, "file": str(out), "bytes": size, "left_out": left_out}
    answer(office, document, lines, next_step="outreach pledges record-paper --help")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show on stderr how many sheets are set, where that is a terminal and there are many."""
    if total <= MANY or not sys.stderr.isatty():
        yield lambda _count: None
        return
    with Progress(BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=total)
        yield lambda count: shown.update(task, completed=count)

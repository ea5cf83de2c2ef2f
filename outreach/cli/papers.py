"""`outreach papers`: what is handed out or hung up, from the office's texts to a PDF: booklet, board, posters, the hotline's answers.

What sets is imported by the verb that needs it: it would double the start of every other.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.progress import track

from outreach.cli import paper_lists
from outreach.cli.base import Office, group, option, pass_office
from outreach.cli.files import OUT, whole_file
from outreach.cli.output import answer, command, note, require_document, show
from outreach.errors import BadInput, OutreachError, UsageError
from outreach.i18n import gettext as _
from outreach.i18n import say
from outreach.rendering.fields import FIELDS
from outreach.rendering.paper_texts import Paper
from outreach.reports.tables import Column, Table
from outreach.settings import LOOPBACK, Settings

SHOWN = 4
"""Fields that the list names; `fields` shows all."""
MANY = 10
"""Papers that take longer than a second or two to set."""


class TwoCodes(UsageError):
    """Give --qr URL or --label PLACE, not both: a paper has one QR code."""


@group("papers")
def papers() -> None:
    """Booklet, rights board, posters, answer sheet: list them, fill them in, make them."""


@papers.command("list")
@pass_office
def list_(office: Office) -> None:
    """List the papers, and whether the text of each is the office's own or came with the program."""
    from outreach.rendering import paper_texts

    folders = office.settings.template_folders
    rows = [_row(name, office.settings) for name in paper_texts.listed(folders)]
    if office.format != "json":
        rows = [row | _in_words(row) for row in rows]
    columns = (
        Column("name", _("Name")),
        Column("title", _("Title")),
        Column("sizes", _("Size")),
        Column("qr", _("QR code")),
        Column("needs", _("To be filled in")),
        Column("source", _("Source")),
    )
    show(office, Table("papers", columns, rows), next_step="outreach papers fields NAME")


@papers.command("fields")
@click.argument("name")
@option("--out", type=OUT, metavar="FILE", help="Write them as a file of TOML to fill in, for --data.")
@pass_office
def fields(office: Office, name: str, out: Path | None) -> None:
    """Show what is filled into a paper, and what stands there if nothing is said."""
    from outreach.rendering import paper_texts
    from outreach.rendering import papers as making

    paper = paper_texts.load(name, office.settings.template_folders)
    values = making.defaults(paper, settings=office.settings, now=office.now())
    rows: list[dict[str, Any]] = [
        {"field": field.name, "label": field.label, "required": field.required, "default": "、".join(values[field.name])} for field in paper.head.field
    ]
    rows += [{"field": key, "label": FIELDS[key], "required": False, "default": values[key][0]} for key in paper_texts.OFFICE if key in values]
    next_step = command(f"outreach papers make {paper.name}", data=out, out=f"{paper.name}.pdf")
    if out is not None:
        require_document(office)
        with whole_file(out) as stream:
            stream.write(_to_fill_in(paper.head.title, rows).encode())
        lines = [_("What is to be filled into {paper} stands in {path}.").format(paper=paper.name, path=out)]
        answer(office, {"paper": paper.name, "file": str(out), "fields": len(rows)}, lines, next_step=next_step)
        return
    columns = (Column("field", _("Field")), Column("label", _("Label")), Column("required", _("Required")), Column("default", _("If nothing is said")))
    to_fill_in = any(row["required"] and not row["default"] for row in rows)
    show(
        office, Table("fields", columns, rows), next_step=command(f"outreach papers fields {paper.name}", out=f"{paper.name}.toml") if to_fill_in else next_step
    )


@papers.command("make")
@click.argument("name")
@option("--set", "pairs", metavar="FIELD=VALUE", multiple=True, help="Fill in a field; once more for a further line of it.")
@option("--data", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Fill in what this TOML, JSON, workbook (a paper a row) says.")
@option("--qr", metavar="URL", help="The address in its QR code.")
@option("--label", metavar="PLACE", help="A QR code of the office's account in WeChat; PLACE tells where the paper hangs.")
@option("--size", metavar="SIZE", help="Such as a3; without it, the first that the paper names.")
@option("--pages", type=click.Choice(["screen", "print"]), default="screen", help="print: a folded booklet two pages a side, for both sides of the sheet.")
@option("--out", type=OUT, required=True, metavar="FILE", help="The PDF to write.")
@pass_office
def make(
    office: Office,
    name: str,
    pairs: tuple[str, ...],
    data: Path | None,
    qr: str | None,
    label: str | None,
    size: str | None,
    pages: str,
    out: Path,
) -> None:
    """Make a paper as a PDF: fill it in, and set it. A workbook or CSV gives a paper for each of its rows, all in one PDF."""
    from outreach.rendering import documents, paper_texts, paper_values
    from outreach.rendering import papers as making

    require_document(office)
    if qr and label:
        raise TwoCodes()
    settings, now = office.settings, office.now()
    paper = paper_texts.load(name, settings.template_folders)
    given = paper_values.pairs(pairs)
    filled = [(row, paper_values.over(paper, given, values)) for row, values in _data(data, paper)]
    for row, values in filled:
        with _naming(data, row):
            making.require_ready(paper, values, settings=settings, now=now, coded=bool(qr or label), size=size or "")
    address = _asked(office, label) if label else qr or ""
    made = []
    for row, values in _with_bar(filled):
        with _naming(data, row):
            made.append(making.make(paper, values, settings=settings, now=now, address=address, size=size or "", printed=pages == "print"))
    content = made[0].content if len(made) == 1 else documents.joined([one.content for one in made], now=now)
    with whole_file(out) as stream:
        stream.write(content)
    if address and urlsplit(address).hostname in LOOPBACK:
        note(_("Note: the QR code leads to this machine only: {address}").format(address=address))
    document = {"paper": paper.name, "title": made[0].title, "file": str(out), "bytes": len(content), "size": made[0].size, "papers": len(made)}
    document |= {"pages": sum(one.pages for one in made), "sheets": sum(one.sheets for one in made), "layout": pages, "qr": address or None}
    answer(office, document, _made_lines(document, folds=paper.head.fold), next_step=_("open {path}").format(path=out))


Filled = tuple[int, dict[str, list[str]]]
"""The row of a list, 0 where there is none, and the lines of every field."""


def _data(path: Path | None, paper: Paper) -> list[Filled]:
    """Return what a file says: of one paper, or of one a row."""
    from outreach.rendering import paper_values

    if path is None:
        return [(0, {})]
    if path.suffix.lower() not in paper_lists.ENDINGS:
        return [(0, paper_values.read(path))]
    rows, others = paper_lists.read(path, paper)
    if others:
        note(_("Left out, for they are no fields of this paper: {headings}").format(headings=" ".join(others)))
    return rows


@contextmanager
def _naming(path: Path | None, row: int) -> Iterator[None]:
    """Say which row of a list it was that cannot be made."""
    try:
        yield
    except BadInput as error:
        if row:
            raise paper_lists.RowRefused(file=path, row=row, why=error) from error
        raise


def _with_bar(filled: Sequence[Filled]) -> Iterable[Filled]:
    """Give them one by one, and show on stderr how far it is, where that is a terminal."""
    return track(filled, _("Papers"), console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty() or len(filled) < MANY)


def _asked(office: Office, label: str) -> str:
    """Return what the QR code of the office's account holds; whoever was asked to sign in must be allowed to ask for one."""
    from outreach.cli.wechat_codes import poster_of

    office.sign_in_if_asked("operator")
    return poster_of(office, label)[0].url


def _made_lines(document: Mapping[str, Any], *, folds: bool) -> Iterator[str]:
    shown = {**document, "size": document["size"].upper()}
    if document["papers"] > 1:
        yield _("{title}: papers {papers}, {size}, pages {pages}, in {file}").format(**shown)
    else:
        yield _("{title}: {size}, pages {pages}, in {file}").format(**shown)
    if folds and document["layout"] == "print":
        yield _("Print on both sides, turned over the short edge; fold the pile and staple it. Sheets a booklet: {sheets}").format(**shown)
    elif folds:
        yield _("To print it as a booklet, make it with --pages print.")


def _row(name: str, settings: Settings) -> dict[str, Any]:
    """Return a row of the list; a text that cannot be read says why in place of its title."""
    from outreach.rendering import paper_texts

    origin = paper_texts.find(name, settings.template_folders)
    own = origin is not None and origin.is_relative_to(settings.template_folders[0])
    row: dict[str, Any] = {"name": name, "title": "", "sizes": [], "qr": "none", "needs": [], "source": "own" if own else "shipped", "file": str(origin)}
    try:
        head = paper_texts.load(name, settings.template_folders).head
    except OutreachError as error:
        return row | {"title": say(error), "ok": False}
    needs = [field.label for field in head.field if field.required and not field.default]
    return row | {"title": head.title, "sizes": list(head.size), "qr": head.qr, "needs": needs, "ok": True}


def _in_words(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what people read in place of ids and lists."""
    codes = {"none": "", "optional": _("if wanted"), "required": _("needed")}
    source = _("own") if row["source"] == "own" else _("came with the program")
    needs = "、".join(row["needs"][:SHOWN]) + (f"…（{len(row['needs'])}）" if len(row["needs"]) > SHOWN else "")
    return {"source": source, "needs": needs, "sizes": " ".join(row["sizes"]).upper(), "qr": codes[row["qr"]]}


def _to_fill_in(title: str, rows: list[dict[str, Any]]) -> str:
    """Return a file of TOML with every field: what must be filled in stands open, what has a value of its own is a remark."""
    lines = [f"# {title}"]
    for row in rows:
        value = "" if row["required"] and not row["default"] else row["default"]
        sign = "" if row["required"] else "# "
        lines.append(f"{sign}{_toml(row['label'])} = {_toml(value)}")
    return "\n".join(lines) + "\n"


def _toml(text: str) -> str:
    """Quote a text as a TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

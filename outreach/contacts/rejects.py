"""The list of refused rows, `FILE-退回.csv`: row, column, value and the reason in words, for whoever mends the list."""

import csv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO

from outreach.contacts.entries import Refusal
from outreach.errors import Refused
from outreach.i18n import gettext as _

HEADINGS = ("行", "列", "值", "原因")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
LONGEST_VALUE = 200


class RejectsUnwritable(Refused):
    """The list of refused rows cannot be written to {path}: {why}. Name another place with --rejects PATH"""


def beside(path: Path) -> Path:
    """Return where the refused rows of a list go unless somebody says otherwise."""
    return path.with_name(f"{path.stem}-退回.csv")


class RejectsFile:
    """Written beside its place and put there at the end: an interrupted import leaves no half list, one without refusals none.

    `words` says the reasons of another kind of list than contacts.
    """

    def __init__(self, path: Path, source: Path, *, words: Callable[[str], str] | None = None) -> None:
        self.path = path
        self._words = words or explain
        self._part = path.with_name(path.name + ".part")
        self._rows = 0
        try:
            if path.is_dir() or (path.exists() and path.samefile(source)):
                raise FileExistsError(17, _("it is the list itself, or a folder"))
            self._file: IO[str] = self._part.open("w", encoding="utf-8-sig", newline="")
        except OSError as error:
            raise RejectsUnwritable(path=path, why=error.strerror or error) from error
        self._writer = csv.writer(self._file)
        self._writer.writerow(HEADINGS)

    def write(self, refusals: Iterable[Refusal]) -> None:
        """Add refused rows."""
        for refusal in refusals:
            value = " ".join(refusal.value.split())
            value = value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + "…"
            self._writer.writerow((refusal.line, neutral(" ".join(refusal.column.split())), neutral(value), self._words(refusal.reason)))
            self._rows += 1

    def keep(self) -> Path | None:
        """Put the list in its place and return that; without refusals take away the list of an earlier import."""
        self._file.close()
        if self._rows:
            self._part.replace(self.path)
            return self.path
        self._part.unlink()
        self.path.unlink(missing_ok=True)
        return None

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.close()
        self._part.unlink(missing_ok=True)


def neutral(value: str) -> str:
    """Return a cell that no spreadsheet takes for a formula; import takes the apostrophe off again."""
    return "'" + value if value.startswith(FORMULA) else value


def explain(reason: str) -> str:
    """Return a reason in words, with what to do about it."""
    return {
        "phone": _("not a mobile number; write one mobile a cell, 11 digits (landlines cannot be texted)"),
        "phone_scientific": _("Excel rounded the number and its last digits are lost; format the column as text and type the number again"),
        "credit_code": _("not a unified social credit code: 18 characters without I, O, S, V, Z, the last one a check character; copy it from the licence"),
        "name_missing": _("the name of the enterprise is missing; fill it in"),
        "conflict": _("contradicts another row or the directory: the same code has two names, or more than one enterprise fits; give the right code and town"),
        "too_long": _("longer than the field holds; shorten it, and look whether two cells ran together"),
        "value": _("this word is not known in this column, or characters are damaged; correct it"),
    }[reason]


def brief(reason: str) -> str:
    """Return a reason in a word or two, for the line that sums an import up."""
    return {
        "phone": _("phone"),
        "phone_scientific": _("phone rounded by Excel"),
        "credit_code": _("credit code"),
        "name_missing": _("name missing"),
        "conflict": _("contradiction"),
        "too_long": _("too long"),
        "value": _("unknown word"),
    }[reason]

"""What an examination of evidence found: how much was looked at, and each fault with its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from outreach.i18n import gettext as _


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `what` is an id such as `root_wrong`, `where` its place, such as `block 3`."""

    what: str
    where: str


@dataclass(slots=True)
class Report:
    """What was found. `newest` is the newest block as (number, digest): whoever noted it elsewhere can compare."""

    checked: int = 0
    faults: list[Fault] = field(default_factory=list)
    newest: tuple[int, str] | None = None
    open: int = 0
    """Rows that no block holds yet."""

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.faults

    def add(self, what: str, where: str) -> None:
        """Note a fault."""
        self.faults.append(Fault(what, where))

    def document(self) -> Mapping[str, Any]:
        """Return the report as JSON shows it."""
        block = {"number": self.newest[0], "digest": self.newest[1]} if self.newest else None
        faults = [{"what": fault.what, "where": fault.where} for fault in self.faults]
        return {"ok": self.ok, "checked": self.checked, "faults": faults, "open": self.open, "newest_block": block}


def say(what: str) -> str:
    """Return the words for a fault in the reader's language."""
    return {
        "row_altered": _("a row of evidence was altered"),
        "row_unreadable": _("a row of evidence cannot be read"),
        "row_loose": _("a row of evidence names a block that is not there"),
        "row_open": _("no block holds this row yet, so nothing proves it"),
        "position_wrong": _("rows of a block are missing, doubled or out of order"),
        "root_wrong": _("the rows of a block are not those that it was closed over"),
        "block_altered": _("the head of a block was altered"),
        "block_missing": _("a block is missing"),
        "chain_broken": _("a block does not follow from the one before"),
        "chain_foreign": _("the published block is not in this chain"),
        "seal_missing": _("the PDF bears no seal, and is none that this office handed out"),
        "seal_broken": _("the PDF was changed after it was sealed"),
        "seal_unknown": _("the seal on the PDF is not known to be this office's"),
        "proof_wrong": _("the row does not belong to its block"),
        "personal_altered": _("personal data were altered"),
        "personal_missing": _("personal data are gone, and no erasure is on record"),
        "signature_altered": _("a signature is not as it was signed"),
        "signature_unproved": _("a signature has no evidence"),
        "signature_missing": _("a signature of which there is evidence is gone"),
        "state_wrong": _("the state of a signature is not what its evidence tells"),
        "text_altered": _("a text is not the one that was signed"),
        "ink_altered": _("a drawn signature is not as it was drawn"),
        "scan_altered": _("a scanned sheet was altered"),
        "scan_missing": _("a scanned sheet that evidence tells of is gone"),
        "scan_unproved": _("no evidence tells of a scanned sheet"),
        "answer_missing": _("a refusal or correction of which there is evidence is gone"),
        "answer_unproved": _("no evidence tells of a refusal or correction"),
        "pdf_altered": _("a kept PDF was altered"),
        "file_missing": _("a file is missing in the bundle"),
        "file_unreadable": _("the file cannot be read"),
    }.get(what, what)

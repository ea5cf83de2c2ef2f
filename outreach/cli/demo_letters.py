"""The paper of the demo: open letters to who has not signed, batch by batch; what the post brings back; and the visits that follow."""

from typing import Any, Protocol

from outreach.i18n import gettext as _

NAME = "公开信2026"
VISITOR = "陈走访"
RETURNED = 3
CAMPAIGN = """\
name = "{name}"
title = "“无欠薪”公开信"
audience = "全部"
goal = {{ pledge = "no-arrears-2026" }}

[[step]]
channel = "letter"
template = "letter/open-letter"
when = "unsigned"

[[step]]
channel = "visit"
when = "unreached"
"""


class Stage(Protocol):
    """Where the commands of the demo run."""

    def run(self, *arguments: str, signed: str | None = None, answer: str = "json") -> Any:
        """Run a command as a user would, and return what it answers."""


def post(stage: Stage, folder: str) -> tuple[str, str]:
    """Print what is due, hand it to the post, and let some come back; return what to say of it, and the command."""
    made = stage.run("letters", "render", NAME, "--out", folder)
    batches = [str(number) for number in made["new_batches"]]
    stage.run("letters", "posted", *batches)
    codes = [row["code"] for row in stage.run("letters", "batches", "--show", batches[0])["rows"]]
    stage.run("letters", "returned", *codes[:RETURNED], "--reason", "moved")
    said = _("Open letters: {letters} in {batches} batches by town, ready for the printer, in {folder}; posted, and {returned} came back")
    return said.format(letters=made["letters"], batches=len(batches), folder=folder, returned=RETURNED), f"letters render {NAME} --out DIR"


def visit(stage: Stage, sheet: str) -> tuple[str, str]:
    """Let somebody go where no letter arrived, with a sheet, and type in what the first visit brought; return what to say of it."""
    stage.run("campaign", "launch", NAME)
    given = stage.run("visits", "issue", "--visitor", VISITOR)["given"]
    stage.run("visits", "sheet", "--visitor", VISITOR, "--out", sheet)
    first = stage.run("visits", "list", "--campaign", NAME, "--limit", "1")["rows"][0]
    stage.run("visits", "done", first["code"], "--result", "will_sign")
    said = _("Visits to whom no letter reached: {given} on the list of {visitor}, in {sheet}; one was made and its result typed in")
    return said.format(given=given, visitor=VISITOR, sheet=sheet), f"visits sheet --visitor {VISITOR} --out FILE.pdf"

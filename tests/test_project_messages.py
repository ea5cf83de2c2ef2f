"""Every message id is found where it stands, and a catalogue that lacks one is not complete."""

from pathlib import Path

import messages
from babel.messages.catalog import Catalog

SOURCE = '''
"""A module."""
from outreach.i18n import gettext as _

class OutreachError(Exception):
    """Something went wrong."""

class TooLate(Elsewhere, errors.OutreachError):
    """It is {hour}
    o'clock."""

class EvenLater(TooLate):
    """Midnight."""

class Other:
    """Not said to anybody."""

def say(count):
    return _("{count} rows").format(count=count) + _("{count} " "rows")
'''
COMMAND = '''
"""A command."""

@contacts.command("import")
@option("--mapping", help="Which columns.")
def import_(mapping):
    """Read a file.

    And keep it.
    """

def plain():
    """Not a command."""
'''


def test_message_ids_are_found_in_calls_errors_commands_and_options(tmp_path: Path) -> None:
    root = tmp_path / "outreach"
    (root / "cli").mkdir(parents=True)
    (root / "late.py").write_text(SOURCE)
    (root / "cli" / "contacts.py").write_text(COMMAND)
    late, command = ["outreach/late.py"], ["outreach/cli/contacts.py"]
    assert messages.wanted(root) == {
        "Something went wrong.": late,
        "It is {hour} o'clock.": late,
        "Midnight.": late,
        "{count} rows": late,
        "Which columns.": command,
        "Read a file. And keep it.": command,
    }


def test_a_catalogue_that_lacks_a_message_or_a_field_is_not_complete() -> None:
    catalogue = Catalog(locale="zh_CN")
    catalogue.add("{count} rows", "{count}行")
    catalogue.add("Hour {hour}", "钟点{时}")
    catalogue.add("Gone", "没有了")
    wanted = {"{count} rows": ["a"], "Hour {hour}": ["a"], "New": ["a"]}
    assert messages.incomplete(catalogue, wanted) == ["no Chinese: New", "other fields: Hour {hour}", "nobody says it: Gone"]
    fresh = messages.refreshed(catalogue, wanted)
    assert {message.id: message.string for message in fresh if message.id} == {"{count} rows": "{count}行", "Hour {hour}": "钟点{时}", "New": ""}
    assert messages.incomplete(messages.refreshed(catalogue, {"{count} rows": ["a"]}), {"{count} rows": ["a"]}) == []


def test_the_messages_of_the_product_are_found() -> None:
    found = messages.wanted()
    assert "The account or the password is wrong." in found
    assert len(found) > 50

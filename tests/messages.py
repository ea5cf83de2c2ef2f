"""Find every message id in the source, and keep the Chinese catalogue in step: `make messages`.

A message id is a literal in `_()`, the docstring of an error class, and, on the command line, the docstring of a command and the help
of an option. `incomplete` says what a complete catalogue may not be: a message without Chinese, or with other {fields} than its English.
"""

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from inspect import cleandoc
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
PO = ROOT / "outreach" / "locale" / "zh_CN" / "LC_MESSAGES" / "outreach.po"
HEADER = "# Chinese (Simplified) of outreach: the words in which the office is spoken to.\n"
NOBODY = ("copyright_holder", "msgid_bugs_address", "last_translator", "language_team")
STILL = datetime(2026, 1, 1, tzinfo=UTC)
"""A header without a date: the file changes only when its messages do."""
FIELD = re.compile(r"{(\w*)[^{}]*}")


def wanted(root: Path = ROOT / "outreach") -> dict[str, list[str]]:
    """Return every message id with the files in which it stands."""
    trees = {path: ast.parse(path.read_text("utf-8")) for path in sorted(root.rglob("*.py"))}
    errors = _descendants("OutreachError", list(trees.values()))
    found: dict[str, list[str]] = defaultdict(list)
    for path, tree in trees.items():
        place = path.relative_to(root.parent).as_posix()
        for node in ast.walk(tree):
            for text in _messages(node, errors, command_line=place.split("/")[1] == "cli"):
                if text and place not in found[text]:
                    found[text].append(place)
    return dict(found)


def incomplete(catalogue: Catalog, messages: dict[str, list[str]]) -> list[str]:
    """Return the messages that the catalogue does not hold, or holds with other fields, or that nobody says any more."""
    said = {str(message.id): str(message.string) for message in catalogue if message.id}
    missing = [f"no Chinese: {text}" for text in messages if not said.get(text)]
    odd = [f"other fields: {text}" for text, chinese in said.items() if chinese and sorted(FIELD.findall(text)) != sorted(FIELD.findall(chinese))]
    unused = [f"nobody says it: {text}" for text in said if text not in messages]
    return missing + odd + unused


def read(path: Path = PO) -> Catalog:
    """Return the catalogue as it stands, an empty one where there is none."""
    if not path.exists():
        return Catalog(locale="zh_CN", domain="outreach")
    with path.open("rb") as file:
        return read_po(file, locale="zh_CN", domain="outreach")


def refreshed(old: Catalog, messages: dict[str, list[str]]) -> Catalog:
    """Return a catalogue of exactly these messages, with the Chinese that the old one has."""
    new = Catalog("zh_CN", "outreach", HEADER, "outreach", "1", creation_date=STILL, revision_date=STILL, fuzzy=False, **dict.fromkeys(NOBODY, "-"))
    for text in sorted(messages):
        known = old.get(text)
        new.add(text, known.string if known else "", locations=[(place, None) for place in messages[text]])  # type: ignore[misc, list-item]
    return new


def main() -> int:
    """Write the .po with every message id, compile the .mo, and return 1 while Chinese is missing."""
    messages = wanted()
    catalogue = refreshed(read(), messages)
    PO.parent.mkdir(parents=True, exist_ok=True)
    with PO.open("wb") as file:
        write_po(file, catalogue, width=0, omit_header=False, include_lineno=False)
    with PO.with_suffix(".mo").open("wb") as file:
        write_mo(file, catalogue)
    faults = incomplete(catalogue, messages)
    print("\n".join([*faults, f"{len(messages)} messages, {len(faults)} to mend in {PO.relative_to(ROOT)}"]))
    return 1 if faults else 0


def _messages(node: ast.AST, errors: set[str], *, command_line: bool) -> Iterator[str]:
    match node:
        case ast.Call(func=ast.Name(id="_" | "gettext"), args=[ast.Constant(value=str() as text)]):
            yield text
        case ast.ClassDef(name=name) if name in errors:
            yield _one_line(ast.get_docstring(node) or "")
        case ast.Call(keywords=keywords) if command_line:
            values = (word.value for word in keywords if word.arg == "help")
            yield from (value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str))
        case ast.FunctionDef(decorator_list=decorators) if command_line and any(_makes_a_command(decorator) for decorator in decorators):
            yield _one_line(ast.get_docstring(node) or "")


def _makes_a_command(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func).rpartition(".")[2] in ("command", "group")


def _one_line(text: str) -> str:
    return " ".join(cleandoc(text).split())


def _descendants(name: str, trees: list[ast.Module]) -> set[str]:
    """Return the names of a class and of all that inherit from it, over all modules."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    bases = {node.name: {ast.unparse(base).rpartition(".")[2] for base in node.bases} for node in classes}
    family = {name}
    while grown := {child for child, parents in bases.items() if parents & family} - family:
        family |= grown
    return family


if __name__ == "__main__":
    sys.exit(main())

"""Find every message id in the source, and keep the Chinese catalogue in step: `make messages`; `--check` only looks.

A message id is a literal in `_()`, in the source or in a web page, the docstring of an error class and the words it is raised with
(`what="…"`), and, on the command line, the docstring of a command and the help of an option; what click and the system say by
themselves is among them. Translations are kept, and those of messages that nobody says any more go. `incomplete` says what a
complete catalogue may not be: a message without Chinese, or with other {fields} than its English.
"""

import ast
import errno
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from inspect import cleandoc
from io import BytesIO
from pathlib import Path

import click
from babel.messages.catalog import Catalog
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment
from jinja2.ext import extract_from_ast

from outreach.i18n import WORDS

ROOT = Path(__file__).parent.parent
PO = ROOT / "outreach" / "locale" / "zh_CN" / "LC_MESSAGES" / "outreach.po"
HEADER = r"""# Chinese (Simplified) of outreach: the words in which the office is spoken to.
msgid ""
msgstr ""
"Language: zh_CN\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"
"Plural-Forms: nplurals=1; plural=0;\n"

"""
"""Without dates and names, so that the same words make the same files."""
FIELD = re.compile(r"{(\w*)[^{}]*}|%\((\w+)\)")
CLICK = ("_termui_impl", "core", "decorators", "exceptions", "formatting", "parser", "termui", "types")
"""Click's modules that speak to users; its others speak to programmers and to shells."""
TROUBLE = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOSPC, errno.EROFS, errno.EADDRINUSE)
"""What the system says of a file or a port, in `why`."""
RELAYS = ("outreach/i18n.py", "outreach/cli/base.py")
"""Where ids are translated that stand elsewhere."""
BASE = "OutreachError"

Id = str | tuple[str, str]
"""A message id, with its plural where there is one."""


def wanted(root: Path = ROOT / "outreach") -> dict[Id, list[str]]:
    """Return every message id of ours with the files in which it stands."""
    trees = _trees(root)
    errors = _descendants(BASE, list(trees.values()))
    found: dict[Id, list[str]] = defaultdict(list)
    for path, tree in trees.items():
        place = path.relative_to(root.parent).as_posix()
        for node in ast.walk(tree):
            for text in _messages(node, errors, command_line=place.split("/")[1] == "cli"):
                if text and place not in found[text]:
                    found[text].append(place)
    return dict(found)


@cache
def _trees(root: Path) -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text("utf-8")) for path in sorted(root.rglob("*.py"))}


def of_others() -> dict[Id, list[str]]:
    """Return what click and the system say by themselves, with who says it."""
    found: dict[Id, list[str]] = {os.strerror(number): ["os"] for number in TROUBLE}
    found["required"] = ["click/core.py"]  # translated out of a variable
    for name in CLICK:
        for node in ast.walk(ast.parse(Path(click.__file__).with_name(f"{name}.py").read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="_"), args=[ast.Constant(value=str() as text)]):
                    found[text] = [f"click/{name}.py"]
                case ast.Call(func=ast.Name(id="ngettext"), args=[ast.Constant(value=str() as one), ast.Constant(value=str() as many), _]):
                    found[one, many] = [f"click/{name}.py"]
    return found


def of_pages(root: Path = ROOT / "templates" / "web") -> dict[Id, list[str]]:
    """Return the message ids of the web pages, which call `_()` as the source does."""
    found: dict[Id, list[str]] = defaultdict(list)
    for path in sorted(root.glob("*.html")):
        for _line, _function, text in extract_from_ast(Environment().parse(path.read_text("utf-8")), ["_"]):
            if isinstance(text, str) and (place := f"templates/web/{path.name}") not in found[text]:
                found[text].append(place)
    return dict(found)


def spoken() -> dict[Id, list[str]]:
    """Return every message id that somebody may read."""
    return {**of_others(), **of_pages(), **wanted()}


def unwritten(root: Path = ROOT / "outreach") -> list[str]:
    """Return the calls of `_()` whose text is put together at run time, which no catalogue can hold."""
    calls = ((path, node) for path, tree in _trees(root).items() for node in ast.walk(tree))
    return [
        f"not written out: {place}:{node.lineno}: {ast.unparse(node)}"
        for path, node in calls
        if isinstance(node, ast.Call) and _translates(node.func) and not (node.args and _is_text(node.args[0]))
        if (place := path.relative_to(root.parent).as_posix()) not in RELAYS
    ]


def incomplete(catalogue: Catalog, messages: Iterable[Id]) -> list[str]:
    """Return the messages that the catalogue does not hold, or holds with other fields, or that nobody says any more."""
    needed, said = list(messages), {message.id: message.string for message in catalogue if message.id}
    missing = [f"no Chinese: {_shown(id)}" for id in needed if not any(_parts(said.get(id)))]
    odd = [f"other fields: {_shown(id)}" for id, chinese in said.items() if any(_parts(chinese)) and not _fits(id, chinese)]
    unused = [f"nobody says it: {_shown(id)}" for id in said if id not in needed]
    return missing + odd + unused


def read(path: Path = PO) -> Catalog:
    """Return the catalogue as it stands, an empty one where there is none."""
    content = path.read_bytes() if path.exists() else HEADER.encode()
    catalogue = read_po(BytesIO(content), locale="zh_CN", domain="outreach")
    catalogue.creation_date = catalogue.revision_date = datetime(2026, 1, 15, tzinfo=UTC)  # the same words make the same file
    return catalogue


def refreshed(old: Catalog, messages: dict[Id, list[str]]) -> Catalog:
    """Return a catalogue of exactly these messages, with the Chinese that the old one has."""
    new = Catalog(locale="zh_CN", domain="outreach", fuzzy=False)
    for id in sorted(messages, key=_shown):
        known = old.get(id)
        new.add(id, known.string if known else "", locations=[(place, None) for place in messages[id]])  # type: ignore[list-item]
    return new


def written(catalogue: Catalog) -> bytes:
    """Return the text of a .po, without line numbers so that its history shows words only."""
    text = BytesIO()
    write_po(text, catalogue, width=0, omit_header=True, include_lineno=False)
    return HEADER.encode() + text.getvalue()


def write(catalogue: Catalog, path: Path = PO) -> None:
    """Write the .po, and compile the .mo from it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(written(catalogue))
    with path.with_suffix(".mo").open("wb") as file:
        write_mo(file, read(path))


def uncompiled(path: Path = PO) -> list[str]:
    """Return a complaint if programs read other words than stand in the .po."""
    compiled = path.with_suffix(".mo")
    with compiled.open("rb") as file:
        if _words(read_mo(file)) == _words(read(path)):
            return []
    return [f"{compiled.name} was not made from {path.name}; run: make messages"]


def main(arguments: list[str]) -> int:
    """Bring the catalogue up to the source, unless told only to look; say what is left to mend, and return 1 if anything is."""
    messages = spoken()
    if "--check" not in arguments:
        write(refreshed(read(), messages))
    faults = [*unwritten(), *incomplete(read(), messages), *uncompiled()]
    print("\n".join([*faults, f"{len(messages)} messages, {len(faults)} to mend in {PO.relative_to(ROOT)}"]))
    return 1 if faults else 0


def _messages(node: ast.AST, errors: set[str], *, command_line: bool) -> Iterator[str]:
    match node:
        case ast.Call(func=func, args=[ast.Constant(value=str() as text)]) if _translates(func):
            yield text
        case ast.ClassDef(name=name, bases=bases) if name == BASE or errors & _names(bases):
            yield _one_line(ast.get_docstring(node) or "")
        case ast.Call(func=ast.Name(id=name), keywords=keywords) if name in errors:
            values = (word.value for word in keywords if word.arg in WORDS)
            yield from (value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str))
        case ast.Call(keywords=keywords) if command_line:
            values = (word.value for word in keywords if word.arg == "help")
            yield from (value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str))
        case ast.FunctionDef(decorator_list=decorators) if command_line and any(_makes_a_command(decorator) for decorator in decorators):
            yield _one_line(ast.get_docstring(node) or "")


def _translates(function: ast.expr) -> bool:
    match function:
        case ast.Name(id="_" | "gettext") | ast.Attribute(value=ast.Name(id="i18n"), attr="gettext"):
            return True
    return False


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _makes_a_command(decorator: ast.expr) -> bool:
    match decorator:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name in ("command", "group")
    return False


def _one_line(text: str) -> str:
    return " ".join(cleandoc(text).split())


def _parts(text: Id | Iterable[str] | None) -> list[str]:
    return [text] if isinstance(text, str) else list(text or ())


def _words(catalogue: Catalog) -> dict[tuple[str, ...], list[str]]:
    return {tuple(_parts(message.id)): _parts(message.string) for message in catalogue if message.id and any(_parts(message.string))}


def _shown(id: Id) -> str:
    return " / ".join(_parts(id))


def _fits(id: Id, chinese: Id | Iterable[str]) -> bool:
    """Whether the Chinese fills in the fields of its English; of the singular or of the plural, for Chinese has one form for both."""
    return any(_fields(part) == _fields(chinese) for part in _parts(id))


def _fields(text: Id | Iterable[str]) -> set[str]:
    return {"".join(found) for part in _parts(text) for found in FIELD.findall(part)}


def _descendants(name: str, trees: list[ast.Module]) -> set[str]:
    """Return the names of a class and of all that inherit from it, over all modules."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    family = {name}
    while grown := {node.name for node in classes if _names(node.bases) & family} - family:
        family |= grown
    return family


def _names(bases: list[ast.expr]) -> set[str]:
    return {ast.unparse(base).rpartition(".")[2] for base in bases}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

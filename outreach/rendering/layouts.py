"""Layouts of papers: a layout in Typst with every file that it needs, found by name, kept whole, and set to PDF in memory.

Layouts lie beside the texts (`templates/letter/letter.typ`) and import from each other; the office's own file goes before ours, one
file at a time. What a layout may read is what was gathered here, and nothing else on the machine.
"""

import base64
import hashlib
import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import typst

from outreach.errors import Misconfigured, NotFound
from outreach.rendering import fonts
from outreach.rendering.fonts import GlyphMissing, Shelf
from outreach.settings import Settings

STANDARD: Literal["a-2b"] = "a-2b"
"""PDF/A-2b: readable as long as the paper would be; a seal may be put on it, and a character without a glyph is an error."""
MUCH = 40_000
"""Characters of data from which on a paper is long: one letter has five thousand, 200 have a million."""
REMEMBERED = 10
"""Typst keeps what it worked out for as many papers after the one that used it: 120 MB for 200 letters and their sheets, measured. Forgetting
takes 80 ms, and the next 200 letters are set no slower."""
NOTHING: Any = {"main.typ": b"", "none.typ": b""}
LARGEST = 4_000_000
"""Bytes of all the files of a layout together: they are kept with each text that is frozen."""


class LayoutMissing(NotFound):
    """There is no layout {name}; it belongs into templates/{name}.typ"""


class LayoutBroken(Misconfigured):
    """The layout {file} cannot be set: {detail}"""


class LayoutTooLarge(Misconfigured):
    """The files of the layout {file} have {size} bytes together; {largest} are allowed. Save its pictures smaller."""


class PackageRefused(LayoutBroken):
    """The layout {file} wants the package {package} from the network; copy what it needs into a file beside it."""


@dataclass(frozen=True)
class Layout:
    """A layout: its name, such as `letter/letter`, and its files by their path below `templates`."""

    name: str
    files: Mapping[str, bytes]

    @cached_property
    def digest(self) -> str:
        """The SHA-256 over name and files, as 64 hex digits."""
        whole = hashlib.sha256(self.name.encode())
        for path, content in sorted(self.files.items()):
            whole.update(f"\0{path}\0{len(content)}\0".encode() + content)
        return whole.hexdigest()

    @cached_property
    def digests(self) -> dict[str, str]:
        """The SHA-256 of each file, by its path."""
        return {path: hashlib.sha256(content).hexdigest() for path, content in sorted(self.files.items())}

    def frozen(self) -> dict[str, str]:
        """Return the files as plain data, in base64, to be kept with a text."""
        return {path: base64.b64encode(content).decode() for path, content in sorted(self.files.items())}


def load(name: str, folders: Sequence[Path]) -> Layout:
    """Gather a layout and what it imports, includes and reads, each file from the first folder that has it.

    Raises LayoutMissing, LayoutTooLarge and PackageRefused. A file that is named and lies nowhere is left to the setting to report.
    """
    main = f"{name}.typ"
    content = _content(main, folders)
    if content is None:
        raise LayoutMissing(what="layout", name=name)
    files, waiting = {main: content}, [main]
    while waiting:
        path = waiting.pop()
        for wanted in _named(path, files[path]):
            if wanted not in files and (found := _content(wanted, folders)) is not None:
                files[wanted] = found
                waiting.append(wanted)
    if (size := sum(map(len, files.values()))) > LARGEST:
        raise LayoutTooLarge(file=main, size=size, largest=LARGEST)
    return Layout(name, files)


def thawed(name: str, frozen: Mapping[str, str]) -> Layout:
    """Return the layout whose files were kept by `Layout.frozen`."""
    return Layout(name, {path: base64.b64decode(content) for path, content in frozen.items()})


def compile(layout: Layout, data: Mapping[str, Any], *, settings: Settings, now: datetime, tags: bool = True) -> bytes:
    """Set `data` with a layout and return the PDF/A-2b, dated `now` to the second; `tags` are for readers with a screen reader.

    The layout reads the data as `json(bytes(sys.inputs.data))`, with `fonts` added: the families for title, body and strong.
    Raises LayoutBroken and GlyphMissing.
    """
    shelf = fonts.shelf(settings.home)
    inputs = {"data": json.dumps({**data, "fonts": shelf.families}, ensure_ascii=False)}
    try:
        with _SETTING:
            made = _compiler(shelf).compile(
                _in_memory(layout), format="pdf", sys_inputs=inputs, pdf_standards=[STANDARD], timestamp=int(now.timestamp()), pdf_tags=tags
            )
            if len(inputs["data"]) > MUCH:
                _forget(_compiler(shelf))
    except typst.TypstError as error:
        raise _fault(error, layout, shelf) from error
    assert isinstance(made, bytes)
    return made


def _forget(compiler: typst.Compiler) -> None:
    """Let go of what was remembered of a long paper, by setting papers of nothing until it is old."""
    for _turn in range(REMEMBERED + 1):
        compiler.compile(NOTHING, format="pdf", sys_inputs={})


def _in_memory(layout: Layout) -> Any:
    """Return the files as the compiler takes them: it begins with `main.typ`."""
    return {"main.typ": f'#include "{layout.name}.typ"'.encode(), **layout.files}


_SETTING = Lock()
"""A compiler is for one paper at a time; threads of the web take turns."""
_NAMED = re.compile(r'\b(?:import|include)\s*"([^"\n]+)"|\b(?:image|read|json|csv|toml|yaml|xml|cbor)\(\s*"([^"\n]+)"')


def _named(path: str, content: bytes) -> list[str]:
    """Return the paths below `templates` that a layout names; those that would lead out of it are none."""
    if not path.endswith(".typ"):
        return []
    found = []
    for match in _NAMED.finditer(content.decode("utf-8", "replace")):
        wanted = match[1] or match[2]
        if wanted.startswith("@"):
            raise PackageRefused(file=path, package=wanted)
        whole = posixpath.normpath(wanted.lstrip("/") if wanted.startswith("/") else posixpath.join(posixpath.dirname(path), wanted))
        if not whole.startswith(".."):
            found.append(whole)
    return found


def _content(path: str, folders: Sequence[Path]) -> bytes | None:
    """Read a file from the first folder that has it; a link that leads out of its folder counts as no file."""
    for folder in folders:
        file = (folder / path).resolve()
        if file.is_relative_to(folder.resolve()) and file.is_file():
            return file.read_bytes()
    return None


@lru_cache(maxsize=4)
def _compiler(shelf: Shelf) -> typst.Compiler:
    """Return the compiler for the fonts of an office: they are read once a process, not once a paper.

    Files that a layout did not gather would be looked for below `root`, where nothing lies but a font.
    """
    return typst.Compiler(root=fonts.OURS[-1].parent, font_paths=shelf.typst)


def _fault(error: typst.TypstError, layout: Layout, shelf: Shelf) -> LayoutBroken | GlyphMissing:
    file = f"{layout.name}.typ"
    lost = re.search(r'the text `"(.+?)"` could not be displayed', error.message)
    if lost:
        return GlyphMissing(name=posixpath.basename(file), characters=lost[1], folder=shelf.folder)
    return LayoutBroken(file=file, detail=" ".join(error.diagnostic.split())[:300])

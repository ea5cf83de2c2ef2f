"""The texts of the papers that are handed out or hung up (booklet, board, poster, answer sheet): what staff write in `templates/paper/`.

    +++
    title = "维权信息告示牌"
    size = ["a2", "a3"]           the first is used unless another is asked for
    pages = 1                     at most so many; without it, as many as it takes
    qr = "optional"               "none", "optional" or "required"
    [[field]]                     what is filled in: its name in data, its label on paper and in the text
    name = "developer"
    label = "建设单位"
    required = true
    +++

The body is the little markup of `rendering.markup`, with the office's own fields (`OFFICE`) and those that the head declares.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Limited

from outreach import reasons
from outreach.errors import BadInput, NotFound, OutreachError
from outreach.rendering import frontmatter, language
from outreach.rendering.fields import FIELDS, canonical, nearest
from outreach.rendering.templates import UnknownField

FOLDER = "paper"
OFFICE = ("office", "place", "hotline", "account", "date")
"""The fields that every paper has by itself; each can be given another value."""
Size = Literal["a5", "a4", "a3", "a2", "a1"]
LARGEST = 200_000
"""A file of more bytes is no text of a paper."""
_NAME = re.compile(r"\w[\w.-]{0,63}")
_WORD = re.compile(r"[^\W\d]\w{0,39}")


class PaperTextWrong(BadInput):
    """{file}: {key} is wrong: {why}."""


class PaperUnreadable(BadInput):
    """{file} cannot be read: {why}"""


class PaperMissing(NotFound):
    """There is no paper {name}; `outreach papers list` shows those there are: {known}"""


class NotAWord(reasons.Reason):
    """{text} is no single word of letters, digits and _"""


class Twice(reasons.Reason):
    """{text} stands there twice"""


class NoSuchKey(reasons.Reason):
    """there is no such key; the nearest is {nearest}"""


class PaperField(BaseModel):
    """One thing that is filled in: `default` may name fields of the office; `text_of` is a message whose wording it shows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    label: str
    required: bool = False
    default: str = ""
    group: str = ""
    text_of: str = ""


class Head(BaseModel):
    """What the head of a paper says; an unknown key is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str = Limited(min_length=1)
    subtitle: str = ""
    slogan: str = ""
    layout: str = ""
    size: tuple[Size, ...] = ("a4",)
    pages: int = Limited(default=0, ge=0)
    fold: bool = False
    qr: Literal["none", "optional", "required"] = "none"
    field: tuple[PaperField, ...] = ()


@dataclass(frozen=True)
class Paper:
    """The text of one paper as it is stored; its name is that of its file."""

    name: str
    origin: Path
    source: str
    head: Head

    @property
    def file(self) -> str:
        """What to call it before people."""
        return str(self.origin)

    @property
    def layout(self) -> str:
        """The layout that sets it, such as `paper/booklet`."""
        return self.head.layout or f"{FOLDER}/{self.name}"

    def names(self) -> dict[str, str]:
        """Return every word by which something of it may be filled in, with the name of the field."""
        own = {word: field.name for field in self.head.field for word in (field.name, field.label)}
        return {**{word: name for name in OFFICE for word in (name, FIELDS[name])}, **own}


def listed(folders: Sequence[Path]) -> list[str]:
    """Return the names of all papers, the office's own among them, in order."""
    return sorted({path.stem for folder in folders for path in (folder / FOLDER).glob("*.md") if path.is_file() and _NAME.fullmatch(path.stem)})


def load(name: str, folders: Sequence[Path]) -> Paper:
    """Read a paper from the first folder that has it: the office's own goes before ours.

    Raises PaperMissing, PaperTextWrong, PaperUnreadable, UnknownField and what else is wrong with the text, with its line.
    """
    origin = find(name, folders)
    if origin is None:
        raise PaperMissing(name=" ".join(name.split())[:80], known=" ".join(listed(folders)))
    return parse(origin.stem, _read(origin), origin=origin)


def find(name: str, folders: Sequence[Path]) -> Path | None:
    """Return the file of a paper, none where there is none."""
    stem = name.removeprefix(f"{FOLDER}/")
    files = (folder / FOLDER / f"{stem}.md" for folder in folders if _NAME.fullmatch(stem))
    return next((file for file in files if file.is_file()), None)


def parse(name: str, source: str, *, origin: Path) -> Paper:
    """Read the text of a paper and check all that can be checked before anything is filled in."""
    head, body, line = frontmatter.split(source, file=str(origin))
    paper = Paper(name, origin, source, _head(head, file=str(origin)))
    _require_fields(paper)
    words = [*paper.names()]
    known = {canonical(word) for word in words}
    for text, first in [(body, line), *((text, 1) for text in _texts_of_head(paper))]:
        for used in sorted(language.prepare(text, name=name, file=paper.file, first_line=first).fields.difference(known)):
            raise UnknownField(file=paper.file, field=FIELDS.get(used, used), nearest=nearest(used, words) or " ".join(words))
    return paper


def _texts_of_head(paper: Paper) -> list[str]:
    """Return what the head says with fields in it."""
    return [paper.head.title, paper.head.subtitle, paper.head.slogan, *(field.default for field in paper.head.field)]


def _head(head: str, *, file: str) -> Head:
    try:
        return Head.model_validate(tomllib.loads(head))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
        why: OutreachError = reasons.of_value(first)
        if first["type"] == "extra_forbidden":
            model: type[BaseModel] = PaperField if first["loc"][0] == "field" else Head
            why = NoSuchKey(nearest=nearest(str(first["loc"][-1]), list(model.model_fields)) or " ".join(model.model_fields))
        raise PaperTextWrong(file=file, key=key, why=why) from error
    except RecursionError as error:
        raise language.TooDeep(file=file, line=1) from error
    except ValueError as error:
        raise PaperTextWrong(file=file, key=frontmatter.FENCE, why=reasons.of_file(error)) from error


def _require_fields(paper: Paper) -> None:
    """Refuse fields that could not be told apart, or could not stand in a text."""
    seen: set[str] = set()
    for number, field in enumerate(paper.head.field, 1):
        for key, text in {"name": field.name, "label": field.label}.items():
            if not _WORD.fullmatch(text):
                raise PaperTextWrong(file=paper.file, key=f"field.{number}.{key}", why=NotAWord(text=text[:40]))
        for text in {field.name, field.label}:
            if text in seen:
                raise PaperTextWrong(file=paper.file, key=f"field.{number}", why=Twice(text=text))
            seen.add(text)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST)
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise PaperUnreadable(file=path, why=reasons.of_file(error)) from error

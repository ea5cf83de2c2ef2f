"""Texts that staff write and people read on a page or on paper: a little markup, and fields that are filled in after it is parsed.

    # A heading                  ## a smaller one
    Each line is a paragraph; blanks before it, full-width ones too, are the layout's business and go.
    1. A numbered item           (every number may be 1; Chinese pages count 一、二、三)
    - An item with a dot
    Words of **weight**          \\* is a star, \\# at the beginning of a line a number sign
    ---                          what comes after the last of these is the sign-off (落款)

This is deliberately less than Markdown: there a line end is a blank, and two stars beside “ or 。 are no emphasis, which nobody who
writes Chinese would expect. Where there is a sign-off, a first line that ends with a colon is the salutation.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from markupsafe import Markup, escape

from outreach.rendering import frontmatter, language, templates
from outreach.rendering.characters import visible


@dataclass(frozen=True, slots=True)
class Run:
    """Words that are set alike."""

    text: str
    strong: bool = False


Line = tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading within a text, of level 1 or 2; the title is not part of the text."""

    level: int
    line: Line


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph; a salutation stands at the margin."""

    line: Line
    salutation: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A list, numbered or not."""

    lines: tuple[Line, ...]
    numbered: bool


@dataclass(frozen=True, slots=True)
class Rule:
    """A line across the page."""


@dataclass(frozen=True, slots=True)
class SignOff:
    """Who signs, and when (落款): set to the right."""

    lines: tuple[Line, ...]


Block = Heading | Paragraph | Items | Rule | SignOff


@dataclass(frozen=True, slots=True)
class Document:
    """A text with its fields filled in: the title that its head gives, and its blocks."""

    title: str
    blocks: tuple[Block, ...]


def parse(source: str, fields: Mapping[str, Any], *, file: str = "", known: Collection[str] = ()) -> Document:
    """Read a text, with or without its head, and fill in its fields (by their English names; see `rendering.fields`).

    The markup is read first, with numbers where the values will stand; whatever a value holds, it is shown as it is. `known` are
    names of fields that this text has besides.
    Raises UnknownField, FieldMissing and whatever else is wrong with a template, with `file` and line.
    """
    title, body, line = _taken_apart(source, file)
    prepared = _prepared(body, file, line)
    templates.require_known(prepared.fields.difference(known), file=file)
    try:
        text, values = language.marked_text(prepared.code, fields)
    except language.FAILURES as error:
        raise templates.failure(error, prepared.code, file=file, first_line=line) from error
    return Document(title, tuple(_signed_off(_blocks(text, [visible(value) for value in values]))))


def to_html(document: Document) -> Markup:
    """Return the text as HTML without its title: h2, h3, p, ol, ul, li, strong and hr, nothing else; everything escaped."""
    return Markup("\n").join(_html(block) for block in document.blocks)


def to_data(document: Document) -> list[dict[str, Any]]:
    """Return the text as plain data for a layout: a dict a block, its `kind` and its `line` or `lines` of {text, strong}."""
    return [_data(block) for block in document.blocks]


def to_text(document: Document) -> str:
    """Return the text in plain lines, numbered items as 1. 2. 3."""
    return "\n".join(line for block in document.blocks for line in _plain(block))


@lru_cache(maxsize=64)
def _taken_apart(source: str, file: str) -> tuple[str, str, int]:
    """Return title, body and the line in which the body begins."""
    clean = re.sub("[\ufdd0-\ufdef]", "", source)
    if not clean.startswith(frontmatter.FENCE + "\n"):
        return "", clean, 1
    head, body, line = frontmatter.split(clean, file=file)
    return frontmatter.title(head, file=file), body, line


@lru_cache(maxsize=64)
def _prepared(body: str, file: str, first_line: int) -> language.Prepared:
    return language.prepare(body, name=file, file=file, first_line=first_line, marked=True)


_RULE = re.compile(r"-{3,}|_{3,}|\*{3,}")
_HEADING = re.compile(r"(#{1,2})[ \u3000]+(.+)")
_NUMBERED = re.compile(r"\d{1,3}\.[ \u3000]+(.+)")
_DOTTED = re.compile(r"[-*][ \u3000]+(.+)")
_WEIGHTY = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
_ESCAPED = re.compile(r"\\([\\*#-])")
_VALUE = re.compile(f"{language.OPENING}(\\d+){language.CLOSING}")


def _blocks(text: str, values: list[str]) -> list[Block]:
    """Read the blocks of a text, a line at a time; items that follow each other are one list."""
    blocks: list[Block] = []
    for source in map(_trimmed, text.split("\n")):
        for block in _block(source, values):
            if isinstance(block, Items) and blocks and isinstance(before := blocks[-1], Items) and before.numbered is block.numbered:
                blocks[-1] = Items(before.lines + block.lines, block.numbered)
            else:
                blocks.append(block)
    return blocks


def _trimmed(line: str) -> str:
    return line.strip(" \t\r\u3000\ufeff")


def _block(source: str, values: list[str]) -> Iterator[Block]:
    """Yield the block that a line is; none where its values leave nothing of it."""
    kind, level, shape = _shape(source)
    if kind == "rule":
        yield Rule()
    elif line := _filled(shape, values):
        match kind:
            case "heading":
                yield Heading(level, line)
            case "numbered" | "dotted":
                yield Items((line,), numbered=kind == "numbered")
            case _:
                yield Paragraph(line)


Shape = tuple[tuple[bool, tuple[str | int, ...]], ...]
"""The runs of a line before its values are in it: weighty or not, and its words, with a number where a value will stand."""


@lru_cache(maxsize=2048)
def _shape(source: str) -> tuple[str, int, Shape]:
    """Read one line: what it is, the level of a heading, and its runs. The same lines come with every letter, so each is read once."""
    if _RULE.fullmatch(source):
        return "rule", 0, ()
    if heading := _HEADING.fullmatch(source):
        return "heading", len(heading[1]), _runs(heading[2])
    if item := _NUMBERED.fullmatch(source):
        return "numbered", 0, _runs(item[1])
    if item := _DOTTED.fullmatch(source):
        return "dotted", 0, _runs(item[1])
    return "paragraph", 0, _runs(source)


def _runs(source: str) -> Shape:
    return tuple((place % 2 == 1, _parts(_ESCAPED.sub(r"\1", part))) for place, part in enumerate(_WEIGHTY.split(source)))


def _parts(words: str) -> tuple[str | int, ...]:
    return tuple(int(part) if place % 2 else part for place, part in enumerate(_VALUE.split(words)))


def _filled(shape: Shape, values: list[str]) -> Line:
    """Return a line with the values in their places; an empty one if nothing of it is left."""
    said = ((strong, "".join(values[part] if isinstance(part, int) else part for part in parts)) for strong, parts in shape)
    line = tuple(Run(text, strong) for strong, text in said if text)
    return line if any(run.text.strip() for run in line) else ()


def _signed_off(blocks: list[Block]) -> list[Block]:
    """Tell the parts of a letter: paragraphs alone after the last rule are its sign-off, and with one its first line is a salutation."""
    last = max((place for place, block in enumerate(blocks) if isinstance(block, Rule)), default=len(blocks))
    closing = [block.line for block in blocks[last + 1 :] if isinstance(block, Paragraph)]
    if not closing or len(closing) < len(blocks) - last - 1:
        return blocks
    opening = blocks[:last]
    if opening and isinstance(first := opening[0], Paragraph) and first.line[-1].text.endswith(("：", ":", ",", "，")):
        opening[0] = Paragraph(first.line, salutation=True)
    return [*opening, SignOff(tuple(closing))]


def _html(block: Block) -> Markup:
    match block:
        case Heading(level, line):
            return Markup("<h{0}>{1}</h{0}>").format(level + 1, _html_line(line))
        case Paragraph(line, salutation):
            return Markup('<p class="salutation">{}</p>' if salutation else "<p>{}</p>").format(_html_line(line))
        case Items(lines, numbered):
            items = Markup("").join(Markup("<li>{}</li>").format(_html_line(line)) for line in lines)
            return Markup("<ol>{}</ol>" if numbered else "<ul>{}</ul>").format(items)
        case SignOff(lines):
            return Markup("\n").join(Markup('<p class="sign-off">{}</p>').format(_html_line(line)) for line in lines)
        case Rule():
            return Markup("<hr>")


def _html_line(line: Line) -> Markup:
    return Markup("").join(Markup("<strong>{}</strong>").format(run.text) if run.strong else escape(run.text) for run in line)


def _data(block: Block) -> dict[str, Any]:
    match block:
        case Heading(level, line):
            return {"kind": "heading", "level": level, "line": _data_line(line)}
        case Paragraph(line, salutation):
            return {"kind": "salutation" if salutation else "paragraph", "line": _data_line(line)}
        case Items(lines, numbered):
            return {"kind": "numbered" if numbered else "dotted", "lines": [_data_line(line) for line in lines]}
        case SignOff(lines):
            return {"kind": "sign-off", "lines": [_data_line(line) for line in lines]}
        case Rule():
            return {"kind": "rule"}


def _data_line(line: Line) -> list[dict[str, Any]]:
    return [{"text": run.text, "strong": run.strong} for run in line]


def _plain(block: Block) -> list[str]:
    match block:
        case Heading(_, line) | Paragraph(line, _):
            return [_words(line)]
        case Items(lines, numbered):
            return [(f"{number}. " if numbered else "- ") + _words(line) for number, line in enumerate(lines, 1)]
        case SignOff(lines):
            return [_words(line) for line in lines]
        case Rule():
            return ["---"]


def _words(line: Line) -> str:
    return "".join(run.text for run in line)

"""The texts of the office: found by name in its folders, read once, and written for each recipient."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from operator import getitem
from pathlib import Path
from types import CodeType, MappingProxyType
from typing import Any

from jinja2 import UndefinedError

from outreach import tokens
from outreach.errors import BadInput, NotFound
from outreach.rendering import filters, frontmatter, language
from outreach.rendering.fields import FIELDS, canonical, nearest
from outreach.rendering.frontmatter import TemplateInvalid

ENDINGS = MappingProxyType({"sms": ".txt", "wechat": ".txt", "letter": ".md", "visit": ".md", "pledge": ".md"})
"""The folders of message templates, and how the files in each end."""


class NameWrong(BadInput):
    """{name} is no name of a template; write the folder and the file without its ending, as in sms/pledge-invitation."""


class TemplateNotFound(NotFound):
    """There is no template {name}; `outreach templates list` shows those there are."""


class TemplateMisspelt(TemplateNotFound):
    """There is no template {name}; the nearest is {nearest}."""


class NotUtf8(TemplateInvalid):
    """{file}, line {line}: the file is not UTF-8; save it as UTF-8 in your editor."""


class Unreadable(TemplateInvalid):
    """{file} cannot be read: {detail}."""


class UnknownField(TemplateInvalid):
    """{file}: there is no field {field}; the nearest is {nearest}."""


class FieldMissing(TemplateInvalid):
    """{file}, line {line}: the field {field} has no value here; take it out, or write {field}|default("…")."""


class DataUnmapped(TemplateInvalid):
    """{file}, line {line}: the text shows {key}, and the table wechat says nothing of it; write {key} = "…" there."""


class RenderFailed(TemplateInvalid):
    """{file}, line {line}: the text cannot be written: {detail}."""


@dataclass(frozen=True)
class MessageTemplate:
    """A template as stored: `text` is the whole source, which is what a campaign freezes; `body` begins in line `body_line`.

    From `renews` on they are a pledge's: the pledge that it renews, whether a one-time code is asked for, its letter, its privacy notice;
    from `layout` on a letter's: its layout, red head (true: the office's name), enclosures, whether the sheet for signing goes with it.
    """

    name: str
    text: str = field(repr=False)
    title: str
    channel: str
    kind: str
    filed: str
    signature: str
    wechat: Mapping[str, str] = field(hash=False)
    body: str = field(repr=False)
    body_line: int
    lines: Mapping[str, int] = field(repr=False, compare=False)
    origin: Path | None = field(default=None, compare=False)
    renews: str = ""
    one_time_code: bool = False
    letter: str = ""
    privacy: str = ""
    layout: str = ""
    red_head: str | bool = False
    enclosures: tuple[str, ...] = ()
    form: bool = False

    @property
    def digest(self) -> str:
        """The SHA-256 of the whole text, as 64 hex digits."""
        return tokens.digest(self.text)

    @property
    def file(self) -> str:
        """What to call the template's file before people."""
        return str(self.origin) if self.origin else _file_name(self.name)


@dataclass(frozen=True)
class Stored:
    """A template that is there to be loaded, and the file it comes from."""

    name: str
    origin: Path


@dataclass(frozen=True)
class Body:
    """A template compiled: the fields it reads (English names), what it says whatever they are, and its ways to be written."""

    fields: frozenset[str]
    literal: str
    code: CodeType
    write: Callable[[Mapping[str, Any]], str]
    wechat: Mapping[str, Callable[[Mapping[str, Any]], str]]


def parse(name: str, source: str, *, origin: Path | None = None) -> MessageTemplate:
    """Read a template's source; errors name its file (`origin`, if it has one) and line."""
    channel = _require_name(name)
    file = str(origin) if origin else _file_name(name)
    head, body, line = frontmatter.split(source, file=file)
    matter = frontmatter.read(head, channel=channel, file=file)
    return MessageTemplate(
        name=name,
        text=source,
        title=matter.title,
        channel=matter.channel,
        kind=matter.kind,
        filed=matter.filed,
        signature=matter.signature,
        wechat=matter.wechat,
        body=body,
        body_line=line,
        lines=matter.lines,
        origin=origin,
        renews=matter.renews,
        one_time_code=matter.one_time_code,
        letter=matter.letter,
        privacy=matter.privacy,
        layout=matter.layout,
        red_head=matter.red_head,
        enclosures=matter.enclosures,
        form=matter.form,
    )


def load(name: str, folders: Sequence[Path]) -> MessageTemplate:
    """Load a template from the first folder that has it: the office's own goes before ours."""
    if "/" in name:
        _require_name(name)
        for folder in folders:
            path = folder / _file_name(name)
            if path.is_file():
                return parse(name, _source(path), origin=path)
    likely = nearest(name, [stored.name for stored in names(folders)])
    if likely:
        raise TemplateMisspelt(what="template", name=name, nearest=likely)
    raise TemplateNotFound(what="template", name=name)


def translation(template: MessageTemplate, lang: str) -> MessageTemplate | None:
    """Return the translation that lies beside a text on paper (`open-letter.en.md`), for information only; none where there is none.

    Only what lies in the same folder counts: an office that words its own letter is not given the translation of ours.
    """
    if template.origin is None or template.channel not in frontmatter.ON_PAPER:
        return None
    path = template.origin.with_suffix(f".{lang}{ENDINGS[template.channel]}")
    return parse(f"{template.name}.{lang}", _source(path), origin=path) if path.is_file() else None


def names(folders: Sequence[Path]) -> list[Stored]:
    """Return every template there is, by name, each from the first folder that has it; translations are no templates of their own."""
    found: dict[str, Path] = {}
    for folder in folders:
        for channel, ending in ENDINGS.items():
            for path in (folder / channel).glob(f"*{ending}"):
                if path.is_file() and _STEM.fullmatch(path.stem) and not (channel in frontmatter.ON_PAPER and path.stem.endswith(".en")):
                    found.setdefault(f"{channel}/{path.stem}", path)
    return [Stored(name, found[name]) for name in sorted(found)]


@lru_cache(maxsize=256)
def compile(template: MessageTemplate) -> Body:
    """Compile a template, once for each text."""
    parts = {key: _expression(value, template) for key, value in _keys(template).items()}
    body = language.prepare(_as_read(template), name=template.name, file=template.file, first_line=template.body_line)
    return Body(
        fields=body.fields.union(*(part.fields for part in parts.values())),
        literal="\n".join([body.literal, *(part.literal for part in parts.values())]),
        code=body.code,
        write=language.writer(body.code),
        wechat=MappingProxyType({key: language.writer(part.code) for key, part in parts.items()}),
    )


def renderer(template: MessageTemplate) -> Callable[[Mapping[str, Any]], str]:
    """Return the function that writes this template's text from merge fields, for many recipients.

    Fields are given under their English names. A text message is one line: lines of the file are joined (with a blank between
    Latin words, without one between Chinese), and an empty line in the file stays as a line break. Every other text keeps its
    lines. Blanks around the whole go. The text is a pure function of the template and the fields.

    Raises `UnknownField` here; `FieldMissing` and `RenderFailed` when a text is written.
    """
    body = compile(template)
    require_known(body.fields, file=template.file)
    write, one_line = body.write, template.channel == "sms"

    def text(fields: Mapping[str, Any]) -> str:
        try:
            written = write(fields).strip()
        except language.FAILURES as error:
            raise failure(error, body.code, file=template.file, first_line=template.body_line) from error
        return _joined_lines(written) if one_line and "\n" in written else written

    return text


def render(template: MessageTemplate, fields: Mapping[str, Any]) -> str:
    """Write a template's text for one recipient; see `renderer`."""
    return renderer(template)(fields)


def wechat_data(template: MessageTemplate, fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a WeChat template message, by the keys that the front matter maps; none of a customer-service message.

    Raises `FieldMissing` and `RenderFailed`.
    """
    body = compile(template)
    try:
        return {key: write(fields).strip() for key, write in body.wechat.items()}
    except language.FAILURES as error:
        raise failure(error, body.code, file=template.file, first_line=template.body_line) from error


def via(template: MessageTemplate) -> str:
    """Return by which of its ways WeChat carries a text: template, subscription or service; nothing for any other channel."""
    if template.channel != "wechat":
        return ""
    return template.wechat.get("via", "service")


def filed_id(template: MessageTemplate) -> str:
    """Return the id under which the provider knows the text: WeChat's template, a gateway's approval number; empty where it has none."""
    return template.wechat.get("id", "") if template.channel == "wechat" else template.filed


def variables(template: MessageTemplate, fields: Mapping[str, Any]) -> dict[str, str]:
    """Return what fills a text that a gateway writes itself: the value of each field that the text reads, by its English name.

    A value is as the text shows it, so shortened where the text shortens it. See `checks.plain_fields_only` for the texts of which
    this says all; of any other, a field is given unshortened. Raises `FieldMissing`.
    """
    try:
        return {name: _filled(reduce(getitem, name.split("."), fields), lengths) for name, lengths in plain_fields(template).items()}
    except KeyError as error:
        name = str(error.args[0])
        raise FieldMissing(file=template.file, line=template.body_line, field=FIELDS.get(name, name)) from error
    except language.FAILURES as error:
        raise RenderFailed(file=template.file, line=template.body_line, detail=" ".join(str(error).split())) from error


def filed_text(template: MessageTemplate) -> str:
    """Return a text as it is filed with a gateway that writes it itself: ${code} where a value will stand."""
    parts = language.outputs(template.body)
    return _joined_lines("".join(part.words or f"${{{part.field}}}" for part in parts).strip())


@lru_cache(maxsize=256)
def plain_fields(template: MessageTemplate) -> Mapping[str, tuple[int | None, ...]]:
    """Return the fields that a text reads and how it shortens each: the arguments of its filters `short`, in order."""
    names = sorted(fields_used(template))
    shown = {part.field: part.lengths for part in language.outputs(template.body) if part.field}
    return MappingProxyType({name: shown.get(name, ()) for name in names})


def _filled(value: Any, lengths: tuple[int | None, ...]) -> str:
    for length in lengths:
        value = filters.short(value, length)
    return str(filters.shown(value)).strip()


def fields_used(template: MessageTemplate) -> frozenset[str]:
    """Return the fields a template reads, by their English names; a register's as `register.<name>.<field>`."""
    return compile(template).fields


def unknown_fields(template: MessageTemplate) -> list[str]:
    """Return the names a template reads that are no fields, as written."""
    return _unknown(fields_used(template))


def require_known(names: frozenset[str], *, file: str) -> None:
    """Refuse a text that reads what is no field. Raises `UnknownField`."""
    for name in _unknown(names):
        raise UnknownField(file=file, field=name, nearest=nearest(name) or " ".join(FIELDS.values()))


def _unknown(names: frozenset[str]) -> list[str]:
    return sorted(name for name in names if name.partition(".")[0] not in FIELDS)


_STEM = re.compile(r"\w[\w.-]{0,63}")


def _require_name(name: str) -> str:
    """Return the folder of a well-formed name; anything that could lead out of the folders is none."""
    channel, _, stem = name.partition("/")
    if channel not in ENDINGS or not _STEM.fullmatch(stem):
        raise NameWrong(what=name, name=" ".join(name.split())[:80])
    return channel


def _file_name(name: str) -> str:
    return name + ENDINGS[name.partition("/")[0]]


def _source(path: Path) -> str:
    """Read a file so that the same text has the same digest wherever it was saved: no byte order mark, plain line ends."""
    try:
        with path.open("rb") as file:
            content = file.read(5 * language.LONGEST)
    except OSError as error:
        raise Unreadable(file=str(path), line=1, detail=error.strerror or str(error)) from error
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise NotUtf8(file=str(path), line=content.count(b"\n", 0, error.start) + 1) from error


def _keys(template: MessageTemplate) -> dict[str, str]:
    """Return the expression of each key of a WeChat template."""
    return {key: value for key, value in template.wechat.items() if key not in frontmatter.WECHAT_SETTINGS}


def _as_read(template: MessageTemplate) -> str:
    """Return the body as a source of what the person reads.

    Beneath the head of a WeChat template stands its text as the provider shows it (模板详情), with {{thing1.DATA}} for a value: each
    becomes the expression of that key. Where nothing stands there, the keys and their values are the text.
    """
    keys = _keys(template)
    if keys and not template.body.strip():
        return "\n".join(f"{key}：{{{{ {value} }}}}" for key, value in keys.items())
    for found in _DATA.finditer(template.body):
        if found[1] not in keys:
            line = template.body_line + template.body.count("\n", 0, found.start())
            raise DataUnmapped(file=template.file, line=line, key=found[1])
    return _DATA.sub(lambda found: f"{{{{ {keys[found[1]]} }}}}", template.body)


_DATA = re.compile(r"\{\{\s*(\w+)\.DATA\s*\}\}")


def _expression(source: str, template: MessageTemplate) -> language.Prepared:
    """Compile one value of the wechat table: an expression, as it would stand between {{ and }}."""
    line = template.lines.get("wechat", 1)
    if "}}" in source or "{%" in source:
        raise language.SyntaxWrong(file=template.file, line=line, detail=source)
    return language.prepare(f"{{{{ {source} }}}}", name=template.name, file=template.file, first_line=line)


def _joined_lines(text: str) -> str:
    """Join the lines of each paragraph: with a blank between Latin words, with nothing beside Chinese."""
    paragraphs = [""]
    for line in map(str.strip, text.split("\n")):
        before = paragraphs[-1]
        if line:
            gap = " " if before and before[-1].isascii() and line[0].isascii() else ""
            paragraphs[-1] = before + gap + line
        elif before:
            paragraphs.append("")
    return "\n".join(paragraphs)


def failure(error: Exception, code: CodeType, *, file: str, first_line: int) -> TemplateInvalid:
    """Say which line of the file is at fault when a text could not be written: what field has no value, or what else went wrong."""
    line = first_line + language.line_of(error, code) - 1
    detail = " ".join(str(error).split())
    if isinstance(error, UndefinedError):
        name = re.search(r"'([^']+)'(?: is undefined)?$", detail)
        field = canonical(name[1]) if name else detail
        return FieldMissing(file=file, line=line, field=FIELDS.get(field, field))
    return RenderFailed(file=file, line=line, detail=detail)

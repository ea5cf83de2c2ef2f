"""The little language of templates: fields, `if`, `for` over the enterprises, and a few filters.

It is Jinja2 in its sandbox, cut down until every body is a pure function of its fields that ends soon: the syntax tree may hold
only what is listed here, so a template can neither read the time nor call anything nor grow without bound, whoever wrote it.
Fields are renamed to their English names in the tree, once, so that rendering looks up one name only.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, Undefined, meta, nodes, pass_context
from jinja2.filters import FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.tests import TESTS

from outreach.rendering.fields import canonical
from outreach.rendering.filters import joined, short, shown
from outreach.rendering.frontmatter import TemplateInvalid

_ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Name,
    nodes.Const,
    nodes.List,
    nodes.If,
    nodes.For,
    nodes.CondExpr,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Filter,
    nodes.Test,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.Add,
    nodes.Sub,
    nodes.Concat,
    nodes.Neg,
)
_SHOWN = {
    nodes.Call: "x(…)",
    nodes.Assign: "{% set %}",
    nodes.AssignBlock: "{% set %}",
    nodes.Macro: "{% macro %}",
    nodes.Mul: "*",
    nodes.Pow: "**",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
}
_LOOP = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})
_TESTS = ("defined", "undefined", "none", "in", "odd", "even")
_PLAIN_FILTERS = ("default", "d", "first", "last", "length", "count", "lower", "upper", "trim")

FAILURES = (TemplateError, TypeError, ValueError, LookupError, ArithmeticError)
"""What writing a body can end in, when a value is missing or is not of the kind that is asked of it."""

LONGEST = 20_000
"""A template of more characters is no message; refused before it is parsed."""


class SyntaxWrong(TemplateInvalid):
    """{file}, line {line}: the template is not written correctly: {detail}."""


class TooLong(TemplateInvalid):
    """{file}, line {line}: a template may have {longest} characters at most; this one has {length}."""


class TooDeep(TemplateInvalid):
    """{file}, line {line}: the template is nested too deeply; write it more simply."""


class ConstructRefused(TemplateInvalid):
    """{file}, line {line}: {construct} may not stand in a template; it may hold fields, if, for over the enterprises, and filters."""


class FilterUnknown(TemplateInvalid):
    """{file}, line {line}: there is no filter or test {name}; use {known}."""


class Language(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, in which a dotted name is a key of what was imported and never a method."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self._key(obj, attribute) if isinstance(obj, Mapping) else super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        return self._key(obj, argument) if isinstance(obj, Mapping) else super().getitem(obj, argument)

    def _key(self, obj: Mapping[Any, Any], key: Any) -> Any:
        return obj[key] if key in obj else self.undefined(obj=obj, name=str(key))


@lru_cache(maxsize=1)
def environment() -> Language:
    """Return the one environment in which every message is compiled: no globals, no loader, no clock, no randomness."""
    return _environment(shown)


@lru_cache(maxsize=1)
def marking() -> Language:
    """Return the environment of texts with markup: where a value would stand, a mark stands, and the value is kept apart."""
    return _environment(_kept)


OPENING, CLOSING = "\ufdd0", "\ufdd1"
"""Around the number of a value, where it is to stand. Unicode keeps these two for use within a program; no text holds them."""
_VALUES = "\0values"


@pass_context
def _kept(context: Context, value: Any) -> Any:
    value = shown(value)
    if isinstance(value, Undefined):
        return value
    values: list[str] = context.parent[_VALUES]
    values.append(value)
    return f"{OPENING}{len(values) - 1}{CLOSING}"


def _environment(finalize: Callable[..., Any]) -> Language:
    made = Language(
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=False,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
        loader=None,
        cache_size=0,
    )
    made.globals.clear()
    made.filters = {"short": short, "join": joined, **{name: FILTERS[name] for name in _PLAIN_FILTERS}}
    made.tests = {name: TESTS[name] for name in _TESTS}
    return made


@dataclass(frozen=True)
class Prepared:
    """A body ready to be written: its code, the fields it reads, and what it says whatever they are."""

    code: CodeType
    fields: frozenset[str]
    literal: str


def prepare(source: str, *, name: str, file: str, first_line: int = 1, marked: bool = False) -> Prepared:
    """Parse and compile a body, its fields renamed to English; refuse what may not stand in it, naming the line of the file.

    `fields` has `register.<name>.<field>` for each field of a register that is written out. A `marked` one is for `marked_text`.
    """
    if len(source) > LONGEST:
        raise TooLong(file=file, line=first_line, longest=LONGEST, length=len(source))
    try:
        tree = environment().parse(source)
        for node, within in _walk(tree):
            _require_allowed(node, within, file=file, offset=first_line - 1)
        for field in tree.find_all(nodes.Name):
            field.name = canonical(field.name)
        within_which = marking() if marked else environment()
        return Prepared(within_which.compile(tree, filename=name), _names_used(tree), _literal_text(tree))
    except TemplateSyntaxError as error:
        raise SyntaxWrong(file=file, line=first_line + error.lineno - 1, detail=_one_line(error.message)) from error
    except ValueError as error:  # a number of thousands of digits
        raise SyntaxWrong(file=file, line=first_line, detail=_one_line(str(error))) from error
    except (RecursionError, MemoryError, SyntaxError) as error:  # Python's own limits on nesting
        raise TooDeep(file=file, line=first_line) from error


def writer(code: CodeType) -> Callable[[Mapping[str, Any]], str]:
    """Return the function that writes a body; the fastest way through Jinja2, as a plan writes tens of thousands.

    Raises `FAILURES` when a field has no value or is not of the kind that is asked of it.
    """
    template = environment().template_class.from_code(environment(), code, {})
    begin, new_context = template.root_render_func, template.new_context

    def write(fields: Mapping[str, Any]) -> str:
        return "".join(begin(new_context(fields if isinstance(fields, dict) else dict(fields), shared=True)))

    return write


def marked_text(code: CodeType, fields: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Write a body that was prepared `marked`: its text with the numbers of values in it, and those values.

    Whatever a value holds, it is in the text as a number only, so it can never be taken for markup. Raises `FAILURES`.
    """
    template = _marked(code)
    values: list[str] = []
    context = template.new_context({**fields, _VALUES: values}, shared=True)
    return "".join(template.root_render_func(context)), values


@lru_cache(maxsize=64)
def _marked(code: CodeType) -> Template:
    return marking().template_class.from_code(marking(), code, {})


def line_of(error: BaseException, code: CodeType) -> int:
    """Return the line of the body in which an error of its writing arose; 1 when it cannot be told."""
    template = environment().template_class.from_code(environment(), code, {})
    step, line = error.__traceback__, 1
    while step is not None:
        if step.tb_frame.f_code.co_filename == code.co_filename:
            line = template.get_corresponding_lineno(step.tb_lineno)
        step = step.tb_next
    return line


def _names_used(tree: nodes.Template) -> frozenset[str]:
    """Return the fields a parsed body reads; of a register, each `register.<name>.<field>` that is written out."""
    plain = meta.find_undeclared_variables(tree)
    dotted = set(_register_paths(tree)) if "register" in plain else set()
    return frozenset((plain - {"register"} if dotted else plain) | dotted)


def _literal_text(tree: nodes.Template) -> str:
    """Return what a body says whatever its fields are: its text and the texts in its expressions, a line each."""
    data = [node.data for node in tree.find_all(nodes.TemplateData)]
    quoted = [node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)]
    return "\n".join([*data, *quoted])


@dataclass(frozen=True)
class Part:
    """One part of a body, in order: `words` that it says, or a `field` (English name) with the arguments of the filters `short` behind it.

    What is neither (an if, a loop, a reckoning) has no name and no words. `line` counts from 1 in the body.
    """

    words: str = ""
    field: str = ""
    lengths: tuple[int | None, ...] = ()
    line: int = 1


def outputs(source: str) -> list[Part]:
    """Return the parts of a body that `prepare` took."""
    found = []
    for node in environment().parse(source).body:
        for part in node.nodes if isinstance(node, nodes.Output) else [node]:
            found.append(Part(words=part.data, line=part.lineno) if isinstance(part, nodes.TemplateData) else _plain_field(part))
    return found


def _plain_field(node: nodes.Node | None) -> Part:
    line = node.lineno if node else 1
    lengths: list[int | None] = []
    while isinstance(node, nodes.Filter) and node.name == "short" and not node.kwargs and len(node.args) < 2:
        length = node.args[0] if node.args else nodes.Const(None)
        if not isinstance(length, nodes.Const):
            return Part(line=line)
        lengths.insert(0, length.value)
        node = node.node
    return Part(field=canonical(node.name), lengths=tuple(lengths), line=line) if isinstance(node, nodes.Name) else Part(line=line)


def _walk(node: nodes.Node, within: tuple[nodes.Node, ...] = ()) -> Iterator[tuple[nodes.Node, tuple[nodes.Node, ...]]]:
    """Yield every node with those it stands in, the outermost first; without recursion, for hostile depth."""
    waiting = [(node, within)]
    while waiting:
        current, above = waiting.pop()
        yield current, above
        waiting.extend((child, (*above, current)) for child in current.iter_child_nodes())


def _require_allowed(node: nodes.Node, within: tuple[nodes.Node, ...], *, file: str, offset: int) -> None:
    line = offset + next((step.lineno for step in (node, *reversed(within)) if step.lineno), 1)
    if not isinstance(node, _ALLOWED):
        shown_as = _SHOWN.get(type(node), f"{{% {type(node).__name__.lower()} %}}")
        raise ConstructRefused(file=file, line=line, construct=shown_as)
    if isinstance(node, nodes.For):
        _require_plain_loop(node, within, file=file, line=line)
    if isinstance(node, nodes.Getattr) and not _is_readable(node):
        raise ConstructRefused(file=file, line=line, construct=f".{node.attr}")
    if isinstance(node, nodes.Filter) and node.name not in environment().filters:
        raise FilterUnknown(file=file, line=line, name=node.name, known=" ".join(sorted(environment().filters)))
    if isinstance(node, nodes.Test) and node.name not in environment().tests:
        raise FilterUnknown(file=file, line=line, name=node.name, known=" ".join(sorted(environment().tests)))


def _require_plain_loop(loop: nodes.For, within: tuple[nodes.Node, ...], *, file: str, line: int) -> None:
    """Loops run over the enterprises, or the first few of them, and not within one another: their length is the list's."""
    over = loop.iter.node if isinstance(loop.iter, nodes.Getitem) and isinstance(loop.iter.arg, nodes.Slice) else loop.iter
    if not (isinstance(over, nodes.Name) and canonical(over.name) == "enterprises"):
        raise ConstructRefused(file=file, line=line, construct="{% for %} over anything but the enterprises")
    if loop.recursive or any(isinstance(node, nodes.For) for node in within):
        raise ConstructRefused(file=file, line=line, construct="{% for %} within {% for %}")


def _is_readable(node: nodes.Getattr) -> bool:
    """A dot is for registers and for where a loop stands; on anything else it would reach Python's methods."""
    root = node.node
    if isinstance(root, nodes.Name) and root.name == "loop":
        return node.attr in _LOOP
    while isinstance(root, nodes.Getattr | nodes.Getitem):
        root = root.node
    return isinstance(root, nodes.Name) and canonical(root.name) == "register"


def _register_paths(tree: nodes.Template) -> Iterator[str]:
    """Yield `register.<name>.<field>` for each dotted way into a register, the longest form of each."""
    inner: set[int] = set()
    for node, _ in _walk(tree):
        if id(node) in inner or not isinstance(node, nodes.Getattr | nodes.Getitem):
            continue
        path: list[str] = []
        step: nodes.Node = node
        while isinstance(step, nodes.Getattr | nodes.Getitem):
            key = step.attr if isinstance(step, nodes.Getattr) else getattr(step.arg, "value", "?")
            path.insert(0, str(key))
            inner.add(id(step))
            step = step.node
        if isinstance(step, nodes.Name) and step.name == "register":
            yield ".".join(["register", *path])


def _one_line(message: str | None) -> str:
    return " ".join((message or "").split()).rstrip(".")

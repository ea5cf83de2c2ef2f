"""Read what staff write to say who is meant (发送范围), in English, Chinese or both: text to tree, and back again.

    规上 = 是 and 镇街 in (逍林镇, 桥头镇) and not 已签署

`not` binds tighter than `and`, `and` tighter than `or`. Values stand bare or in quotation marks; within those a backslash protects
the mark and itself. What a part means is said in `tree`, what it selects in `conditions`.
"""

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import cast

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedToken, v_args

from outreach.audiences import errors
from outreach.audiences.fields import CHANNELS, FIELDS, FUNCTIONS, GLUED_FIELD, GLUED_VALUE, NO, REGISTER, YES, YES_NO, both, canonical, nearest
from outreach.audiences.tree import And, Attended, Compare, Everybody, Field, Has, In, Like, Not, Operator, Or, Register, SegmentRef, Signed, Tree, Value
from outreach.i18n import gettext as _

LENGTH_LIMIT = 4000
"""Characters of one audience."""
DEPTH_LIMIT = 50
"""Parentheses and `not` within one another."""
OPERATORS: dict[str, Operator] = {"==": "=", "<>": "!=", "≠": "!=", "≤": "<=", "≥": ">="}
_ASCII = str.maketrans("＝！＜《＞》", "=!<<>>")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def parse(text: str, *, limit: int = LENGTH_LIMIT) -> Tree:
    """Return what an audience of at most `limit` characters says; raise an AudienceError with the place, in one line, when it says nothing."""
    if len(text) > limit:
        raise errors.AudienceTooLong(length=len(text), limit=limit)
    if not text.strip(" \t\r\n\u3000\ufeff"):
        raise errors.AudienceEmpty()
    try:
        return _parse(text)
    except errors.AudienceUnreadable as error:
        raise error.within(text) from error.__cause__


def _parse(text: str) -> Tree:
    _require_text(text)
    tokens: list[Token] = []
    try:
        for token in _parser().lex(text):
            tokens.append(token)
        _require_shallow(tokens)
        return cast(Tree, _parser().parse(text))
    except UnexpectedCharacters as error:
        raise _wrong_character(text, error.pos_in_stream or 0) from error
    except UnexpectedToken as error:
        raise _wrong_token(text, tokens, error) from error


@cache
def _parser() -> Lark:
    grammar = files("outreach.audiences").joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="basic", transformer=_Reader())


def _require_text(text: str) -> None:
    for place, character in enumerate(text):
        if not character.isprintable() and (character < " " or "\ud800" <= character <= "\udfff") and character not in "\t\n\r\f\v":
            raise errors.NoText(start=place, end=place + 1, found=f"U+{ord(character):04X}")


def _require_shallow(tokens: Iterable[Token]) -> None:
    open_, nots = [0], 0
    for token in tokens:
        nots = nots + 1 if token.type == "_NOT" else nots
        if token.type == "_OPEN":
            open_.append(open_[-1] + nots + 1)
        if open_[-1] + nots > DEPTH_LIMIT:
            raise errors.TooDeep(start=_start(token), end=_end(token), limit=DEPTH_LIMIT)
        if token.type != "_NOT":
            nots = 0
        if token.type == "_CLOSE" and len(open_) > 1:
            open_.pop()


def _wrong_character(text: str, place: int) -> errors.AudienceUnreadable:
    if text[place] in "\"'“”＂‘’＇「":
        return errors.QuoteOpen(start=place, end=place + 1)
    return errors.CharacterUnknown(start=place, end=place + 1, found=text[place])


def _wrong_token(text: str, tokens: list[Token], error: UnexpectedToken) -> errors.AudienceUnreadable:
    at_end = error.token.type == "$END"
    start, end = (len(text.rstrip()), len(text.rstrip())) if at_end else (_start(error.token), _end(error.token))
    for word in (word for word in tokens if word.type == "WORD" and (word.end_pos == start or word.start_pos == start or _next_to(text, word, start))):
        glued = GLUED_FIELD.search(word) or GLUED_VALUE.search(word)
        if glued:
            return _blank_missing(word, glued)
    found = _("the end") if at_end else text[start:end]
    return errors.NotExpected(start=start, end=end, expected=_expected(set(error.accepts or error.expected)), found=found)


def _next_to(text: str, word: Token, place: int) -> bool:
    return _end(word) <= place and not text[_end(word) : place].strip()


def _expected(accepted: set[str]) -> str:
    if "COMPARISON" in accepted:
        return _("a comparison (= != < <= > >= in like)")
    if "SEGMENT" in accepted:
        return _("a field, not or (")
    if "STRING" in accepted:
        return _("a value")
    if "_COMMA" in accepted:
        return _(", or )")
    if "_IN" in accepted:
        return _("in or like")
    if "_AND" in accepted:
        return _("and, or, or )") if "_CLOSE" in accepted else _("and, or, or the end")
    if "$END" in accepted:
        return _("and, or, or the end")
    return ")" if "_CLOSE" in accepted else "("


def _start(token: Token) -> int:
    return token.start_pos or 0


def _end(token: Token) -> int:
    return token.end_pos or 0


def _blank_missing(word: Token, glued: re.Match[str]) -> errors.BlankMissing:
    name = next(name for name, value in glued.groupdict().items() if value)
    start, end = glued.span(name)
    return errors.BlankMissing(start=_start(word) + start, end=_start(word) + end, keyword=glued[name])


@v_args(inline=True)
class _Reader(Transformer[Token, Tree]):
    """Makes the tree while the parser goes along, from the leaves up, and refuses names it does not know at their place."""

    def start(self, tree: Tree) -> Tree:
        return tree

    def either(self, *terms: Tree) -> Tree:
        return Or(terms)

    def both(self, *terms: Tree) -> Tree:
        return And(terms)

    def negated(self, term: Tree) -> Tree:
        return Not(term)

    def everybody(self, _word: Token) -> Tree:
        return Everybody()

    def segment(self, word: Token) -> Tree:
        return SegmentRef(re.split("[:：]", word, maxsplit=1)[1])

    def fact(self, word: Token) -> Tree:
        field = _field(word)
        if not isinstance(field, str) or field not in YES_NO:
            raise errors.TextExpected(start=_start(word), end=_end(word), field=str(word))
        return Compare(field, "=", True)

    def comparison(self, word: Token, sign: Token, value: Token) -> Tree:
        field, ascii_sign = _field(word), sign.translate(_ASCII)
        operator = OPERATORS.get(ascii_sign, cast(Operator, ascii_sign))
        if field in YES_NO and operator not in ("=", "!="):
            raise errors.NoOrder(start=_start(sign), end=_end(sign), field=str(word), found=str(sign))
        return Compare(field, operator, _value(word, field, value))

    def values(self, *values: Token) -> list[Token]:
        return list(values)

    def member(self, word: Token, values: list[Token]) -> Tree:
        field = _field(word)
        return In(field, tuple(_value(word, field, value) for value in values))

    def stranger(self, word: Token, values: list[Token]) -> Tree:
        return Not(self.member(word, values))

    def like(self, word: Token, pattern: Token) -> Tree:
        field = _field(word)
        if field in YES_NO:
            raise errors.NoOrder(start=_start(word), end=_end(word), field=str(word), found="like")
        return Like(field, str(_value(word, field, pattern)))

    def unlike(self, word: Token, pattern: Token) -> Tree:
        return Not(self.like(word, pattern))

    def call(self, word: Token, argument: Token) -> Tree:
        function = canonical(word, FUNCTIONS)
        if function == "has":
            return Has(_channel(argument))
        if function == "signed":
            return Signed(_text(argument))
        if function == "attended":
            return Attended(_text(argument))
        _refuse_glued(word, GLUED_FIELD)
        raise errors.FunctionUnknown(start=_start(word), end=_end(word), found=str(word), advice=advice(word, both(FUNCTIONS)))


def _field(word: Token) -> Field:
    first, *rest = word.split(".")
    if first.lower() in REGISTER and len(rest) == 2 and all(rest):
        return Register(*rest)
    field = canonical(word, FIELDS)
    if field:
        return field
    _refuse_glued(word, GLUED_FIELD)
    raise errors.NameUnknown(start=_start(word), end=_end(word), found=str(word), advice=advice(word, [*both(FIELDS), "segment:NAME", "register.NAME.FIELD"]))


def _channel(argument: Token) -> str:
    channel = canonical(_text(argument), CHANNELS)
    if channel is None:
        raise errors.ChannelUnknown(start=_start(argument), end=_end(argument), found=str(argument), advice=advice(_text(argument), both(CHANNELS)))
    return channel


def _value(word: Token, field: Field, token: Token) -> Value:
    if token.type == "WORD":
        _refuse_glued(token, GLUED_VALUE)
    text = _text(token)
    if field not in YES_NO or not text:
        return text
    if text.lower() not in YES | NO:
        raise errors.YesNoExpected(start=_start(token), end=_end(token), field=str(word), found=str(token))
    return text.lower() in YES


def _text(token: Token) -> str:
    if token.type != "STRING":
        return str(token)
    return _ESCAPE.sub(lambda escape: _unescaped(escape[1], token), token[1:-1])


def _unescaped(character: str, token: Token) -> str:
    if character in "\\" or character in (token[0], token[-1]):
        return character
    return _ESCAPES.get(character, "\\" + character)


def _refuse_glued(word: Token, pattern: re.Pattern[str]) -> None:
    glued = pattern.search(word)
    if glued:
        raise _blank_missing(word, glued)


def advice(word: str, names: Iterable[str]) -> str:
    """Say which known name is nearest to a word, or else which are known."""
    known = list(names)
    name = nearest(word, known)
    return _("the nearest is {name}").format(name=name) if name else _("known are {names}").format(names=" ".join(known) or "–")

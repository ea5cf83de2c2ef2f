"""What can be wrong with an audience: each says the place, what was expected and the nearest known name, in one line.

    AudienceError
      AudienceUnreadable   the text itself; carries `column` (from 1), `length` and `excerpt`
      AudienceTooLarge     more than one statement should carry
      SegmentCircle        a segment that leads back to itself
    AudienceNotYet         understood, but the part that knows the answer is not there yet
    SegmentNotFound

Place, excerpt and advice are data of the error, so that a page can draw its own mark.
"""

from typing import Any, Self

from outreach.errors import BadInput, NotFound, Refused

AROUND = 16
"""Characters of the text shown on either side of the place."""


class AudienceError(BadInput):
    """The audience cannot be understood: {why}."""


class AudienceUnreadable(AudienceError):
    """Audience, column {column}: {excerpt} is not understood."""

    def __init__(self, *, start: int, end: int, **data: Any) -> None:
        super().__init__(start=start, end=end, column=start + 1, length=end - start, excerpt="", **data)

    def within(self, text: str) -> Self:
        """Fill in the excerpt of the text, the place in [brackets]; what was found is shown on one line, however long it is."""
        self.data["excerpt"] = excerpt(text, self.data["start"], self.data["end"])
        self.data |= {key: shown(self.data[key]) for key in ("found", "field") if key in self.data}
        return self


class NotExpected(AudienceUnreadable):
    """Audience, column {column}, “{excerpt}”: {expected} was expected, not {found}."""


class BlankMissing(AudienceUnreadable):
    """Audience, column {column}, “{excerpt}”: put a blank before and after {keyword}."""


class QuoteOpen(AudienceUnreadable):
    """Audience, column {column}, “{excerpt}”: this quotation mark is never closed."""


class CharacterUnknown(AudienceUnreadable):
    """Audience, column {column}, “{excerpt}”: the character {found} may stand inside quotation marks only."""


class NoText(AudienceUnreadable):
    """Audience, column {column}: the character {found} is no text."""


class NameUnknown(AudienceUnreadable):
    """Audience, column {column}, “{excerpt}”: there is no field {found}; {advice}."""


class FunctionUnknown(AudienceUnreadable):
    """Audience, column {column}, “{excerpt}”: {found}(…) does not exist; {advice}."""


class ChannelUnknown(AudienceUnreadable):
    """Audience, column {column}, “{excerpt}”: there is no channel {found}; {advice}."""


class YesNoExpected(AudienceUnreadable):
    """Audience, column {column}, “{excerpt}”: {field} is yes/是 or no/否, not {found}."""


class NoOrder(AudienceUnreadable):
    """Audience, column {column}, “{excerpt}”: {field} is yes or no, so {found} makes no sense; write = or !=."""


class TextExpected(AudienceUnreadable):
    """Audience, column {column}, “{excerpt}”: {field} is text; compare it, such as {field} = …"""


class TooDeep(AudienceUnreadable):
    """Audience, column {column}, “{excerpt}”: nested more than {limit} deep; save parts of it as segments."""


class AudienceEmpty(AudienceError):
    """An audience is needed, such as 规上 = 是 and 镇街 in (逍林镇, 桥头镇); all/全部 selects everybody."""


class AudienceTooLong(AudienceError):
    """The audience has {length} characters, more than {limit}; save parts of it as segments."""


class AudienceTooLarge(AudienceError):
    """With its segments filled in, the audience has {size} conditions or is {depth} deep; at most {size_limit} and {depth_limit} are allowed."""


class SegmentCircle(AudienceError):
    """The segment {name} refers to itself: {path}."""


class SegmentBroken(AudienceError):
    """The segment {name} is not understood any more: {why} Save it anew: outreach audience save {name} EXPR"""


class SegmentNameWrong(AudienceError):
    """A segment's name has up to {limit} letters, digits, - _ and . only, not {name}."""


class SegmentNotFound(NotFound):
    """There is no segment {name}; {advice}."""


class AudienceNotYet(Refused):
    """{what} cannot be judged yet: it comes with {part}. Leave it out for now."""


def excerpt(text: str, start: int, end: int) -> str:
    """Return the words around a place on one line, the place in [brackets]."""
    before, place, after = text[max(start - AROUND, 0) : start], text[start:end], text[end : end + AROUND]
    return f"{'…' if start > AROUND else ''}{_printable(before)}[{shown(place)}]{_printable(after)}{'…' if end + AROUND < len(text) else ''}"


def shown(text: str) -> str:
    """Return a piece of the text as a message may hold it: printable, and cut where it is long."""
    return _printable(text if len(text) <= 2 * AROUND else text[: 2 * AROUND] + "…")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)

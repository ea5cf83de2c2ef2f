"""Lists saved as text: find out the encoding and the separator, and stream the records."""

import codecs
import csv
import io
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path

BLOCK = 1 << 20
SAMPLE_LINES = 30
LONGEST_LINE = 100_000
"""More characters without a line end are cut into several lines, so that no file can fill the memory."""
LONGEST_RECORD = 100
"""Lines that a quoted cell may run on; more means that a quotation mark was never closed."""
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
MOSTLY = 0.98
"""The share of characters that must be sound before a list with single bad bytes is read at all; a row with one is refused."""
SIGN_OF_UTF_16 = 0.05
"""The least share of characters that are ASCII in a list (separators, line ends, phones): in UTF-16 each has its NUL, on the same side."""
UTF_8_LINE = re.compile(rb"[\x00-\x7f]*(?:(?:[\xe3-\xe9]|\xef[\xbc-\xbf])[\x80-\xbf]{2}[\x00-\x7f]*){4,}")
"""A line of at least four Chinese characters that is UTF-8 throughout; in GB18030 the like would be symbols and rare characters in turn."""


class NotText(ValueError):
    """The bytes are text in no encoding that we know."""


class Mixed(NotText):
    """Lines in one encoding follow lines in another: `encoding` is the first, `row` and `byte` (both from 1) say where it breaks."""

    def __init__(self, *, encoding: str, row: int, byte: int) -> None:
        super().__init__(encoding, row, byte)
        self.encoding, self.row, self.byte = encoding, row, byte


@contextmanager
def opened(path: Path) -> Iterator[tuple[Iterator[tuple[int, list[str]]], Callable[[], float]]]:
    """Open a CSV file and give its numbered records, and a function that tells the share that was read. Raises NotText."""
    encoding = encoding_of(path)
    size = path.stat().st_size
    with path.open("rb", buffering=BLOCK) as raw, io.TextIOWrapper(raw, encoding, errors="replace", newline="") as text:
        lines = iter(lambda: text.readline(LONGEST_LINE), "")
        sample = list(islice(lines, SAMPLE_LINES))
        if _is_binary("".join(sample)):
            raise NotText(str(path))
        yield enumerate(records(chain(sample, lines), separator(sample)), 1), lambda: min(1.0, raw.tell() / size)


def encoding_of(path: Path) -> str:
    """Return the encoding of a file: by its byte order mark, else the one in which all of it makes sense, UTF-8 before GB18030.

    UTF-16 without a mark is known by its NULs, one in every other byte; a stray NUL makes no UTF-16. Raises NotText and Mixed.
    """
    with path.open("rb") as file:
        head = file.read(BLOCK)
    marked = next((encoding for bom, encoding in BOMS.items() if head.startswith(bom)), None) or _utf_16_by_its_nuls(head)
    candidates = [marked] if marked else ["utf-8", "gb18030"]
    found = next((encoding for encoding in candidates if _decodes(path, encoding)), None)
    if found is None:
        found = max(candidates, key=lambda encoding: _soundness(head, encoding))
        if _soundness(head, found) < MOSTLY:
            raise _why_not(path, head, candidates)
    if found == "gb18030" and (mixture := _utf_8_within(path)):
        raise mixture
    return found


def _utf_16_by_its_nuls(head: bytes) -> str | None:
    """Return the UTF-16 whose ASCII characters the NULs would be the halves of, where there are enough of them and on one side only."""
    if len(head) % 2:
        return None
    first, second = head[0::2].count(0), head[1::2].count(0)
    most, least = max(first, second), min(first, second)
    if most < 3 or most < SIGN_OF_UTF_16 * len(head) / 2 or least > most / 10:
        return None
    return "utf-16-le" if second > first else "utf-16-be"


def _why_not(path: Path, head: bytes, candidates: list[str]) -> NotText:
    """Tell a file whose lines are each sound, but in different encodings, from one that is no text."""
    if candidates[0].startswith("utf-16") or _is_binary(head.decode("latin-1")):
        return NotText(str(path))
    lines = head.splitlines()
    sound = sum(_is_sound(line, "utf-8") or _is_sound(line, "gb18030") for line in lines)
    if sound < MOSTLY * len(lines) - 1:
        return NotText(str(path))
    return (len(candidates) > 1 and _utf_8_within(path)) or _first_break(path, "utf-8") or NotText(str(path))


def _utf_8_within(path: Path) -> Mixed | None:
    """Return where the lines that are plainly UTF-8 begin or end: they may pass for GB18030 too, but would be read as other characters."""
    before = False
    for row, begins, line in _numbered(path):
        if line.isascii():
            continue
        if UTF_8_LINE.fullmatch(line):
            return Mixed(encoding="gb18030", row=row, byte=begins + _first_beyond_ascii(line) + 1) if before else _first_break(path, "utf-8")
        before = True
    return None


def _first_break(path: Path, encoding: str) -> Mixed | None:
    for row, begins, line in _numbered(path):
        try:
            line.decode(encoding)
        except UnicodeDecodeError as error:
            return Mixed(encoding=encoding, row=row, byte=begins + error.start + 1)
    return None


def _numbered(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Yield each line with its number from 1 and the number of bytes before it."""
    begins = 0
    with path.open("rb", buffering=BLOCK) as file:
        for row, line in enumerate(iter(file.readline, b""), 1):
            yield row, begins, line
            begins += len(line)


def _first_beyond_ascii(line: bytes) -> int:
    return next(place for place, byte in enumerate(line) if byte > 0x7F)


def _is_sound(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def separator(sample: Iterable[str]) -> str:
    """Return the separator of a list: the tab where most lines have one, for nobody types it; else what cuts most lines into most cells."""
    lines = [line for line in sample if line.strip()]
    if 2 * sum("\t" in line for line in lines) > len(lines):
        return "\t"
    return max((",", ";"), key=lambda mark: _evenness(len(cells) for cells in records(lines, mark)))


def _evenness(widths: Iterable[int]) -> int:
    """Return how many cells the rows of the commonest width have beyond their first."""
    return max(((width - 1) * count for width, count in Counter(widths).items()), default=0)


def records(lines: Iterable[str], mark: str) -> Iterator[list[str]]:
    """Yield the records of a CSV text; a quotation mark that is never closed spoils its own line only, not the rest of the file."""
    source = _Lines(lines)
    while True:
        try:
            for cells in csv.reader(source, delimiter=mark, strict=True):
                source.held.clear()
                yield cells
            return
        except csv.Error:
            yield _taken_apart(source.first(), mark)


def _taken_apart(line: str, mark: str) -> list[str]:
    """Return the cells of one line that breaks the rules of quoting."""
    if line.count('"') % 2 == 0:
        try:
            return next(csv.reader([line], delimiter=mark))
        except csv.Error:
            pass  # a cell beyond the reader's limit
    return [cell.strip('"') for cell in line.rstrip("\r\n").split(mark)]


class _Lines:
    """Lines on their way into the reader; holds those of the record that it is in the middle of."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.source = iter(lines)
        self.waiting: deque[str] = deque()
        self.held: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if len(self.held) >= LONGEST_RECORD:
            raise StopIteration
        line = self.waiting.popleft() if self.waiting else next(self.source)
        self.held.append(line)
        return line

    def first(self) -> str:
        """Return the line that begins the record, and put those after it back."""
        first, *rest = self.held
        self.held = []
        self.waiting.extendleft(reversed(rest))
        return first


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _soundness(head: bytes, encoding: str) -> float:
    text = codecs.getincrementaldecoder(encoding)("replace").decode(head)
    return 1 - text.count("\ufffd") / max(1, len(text))


def _is_binary(sample: str) -> bool:
    odd = sum(1 for character in sample if character < " " and character not in "\t\r\n\f\x1a")
    return odd > len(sample) / 50 + 5

"""How fast letters are set: 15,000 with QR codes as batch PDFs on two processes, beside WeasyPrint with the same page in the same run.

    python benchmarks/letters.py [--letters 15000] [--processes 2] [--sample 20]

WeasyPrint is no dependency of ours: `pip install weasyprint` beside us to measure it (it wants Pango); without it our own figures are
printed alone. Only ratios count: machines are noisy. Ratios are of processor time, which other work on the machine disturbs least.
"""

import argparse
import hashlib
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import people

from outreach.database.tables import MessageText
from outreach.letters import documents
from outreach.letters.documents import LetterText, Paper
from outreach.rendering import fonts, joining, layouts, markup, qr, templates
from outreach.settings import Settings

SETTINGS = Settings(home=Path("nowhere"))
AT = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
COMMON = {"office": SETTINGS.office_name, "place": "示例市", "hotline": "12333", "account": "示例人社", "date": "2026年1月15日"}
CHUNK, BATCH = 200, 1000
AIM_BATCH, AIM_ALONE = 10, 8


@lru_cache(maxsize=1)
def text() -> LetterText:
    """Return the shipped letter, frozen."""
    template = templates.load("letter/open-letter", SETTINGS.template_folders)
    layout = layouts.load(template.layout, SETTINGS.template_folders).frozen()
    return documents.text_of(MessageText(name=template.name, source=template.text, signature="", layout=layout), COMMON)


def papers(count: int) -> list[Paper]:
    """Return so many letters to invented enterprises, each with its own code and link."""
    return [_paper(number, row) for number, row in enumerate(people.enterprises(count))]


def _paper(number: int, row: people.Row) -> Paper:
    fields = {"enterprise": row.name, "enterprises": [row.name], "enterprise_count": 1, "contact": row.contact, "town": row.town}
    drawn = hashlib.sha256(str(number).encode()).hexdigest()
    return Paper(drawn[:6].upper(), row.name, row.contact, row.town, f"http://127.0.0.1:8000/p/{drawn[:32]}", fields)


def set_chunk(some: list[Paper]) -> tuple[bytes, float, float]:
    """Set a chunk, and return it with the processor seconds and the peak memory (MB) of this process."""
    started = time.process_time()
    made = documents.chunk(text(), some, settings=SETTINGS, now=AT)
    assert made.pages == (1,) * len(some)
    return made.content, time.process_time() - started, peak()


def peak(who: int = resource.RUSAGE_SELF) -> float:
    """Return the most memory that a process ever held, in MB."""
    return resource.getrusage(who).ru_maxrss / 1024


def whole_run(count: int, processes: int) -> float:
    """Set and write all batches, print the figures, and return processor milliseconds a letter of the setting."""
    letters = papers(count)
    chunks = [letters[start : start + CHUNK] for start in range(0, count, CHUNK)]
    os.environ["RAYON_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(processes) as pool, tempfile.TemporaryDirectory() as folder:
        pool.map(set_chunk, [letters[:2]] * processes, chunksize=1)
        started, seconds, memory, size = time.perf_counter(), 0.0, 0.0, 0
        digest = hashlib.sha256()

        def contents(some: list[tuple[bytes, float, float]]) -> Iterator[bytes]:
            return (content for content, *_rest in some)

        made: list[tuple[bytes, float, float]] = []
        for number, one in enumerate(pool.imap(set_chunk, chunks), 1):
            made.append(one)
            seconds, memory = seconds + one[1], max(memory, one[2])
            if number % (BATCH // CHUNK) == 0 or number == len(chunks):
                path = Path(folder) / f"batch-{number}.pdf"
                with path.open("wb") as stream:
                    joining.join(contents(made), stream, now=AT)
                digest.update(path.read_bytes())
                size += path.stat().st_size
                made.clear()
        took = time.perf_counter() - started
    per_letter = seconds / count * 1000
    print(f"{count:,} letters, {processes} processes, written as batches of {BATCH}: {took:.1f} s, {per_letter:.2f} ms of processor a letter,", end=" ")
    print(f"{size / count / 1024:.1f} KB a letter; peak memory {memory:.0f} MB a process, {peak():.0f} MB here; SHA-256 {digest.hexdigest()[:16]}")
    return per_letter


def timed(make: Callable[[], Any], times: int) -> float:
    """Return the processor milliseconds of the median of so many runs, after one that does not count."""
    make()
    taken = []
    for _ in range(times):
        started = time.process_time()
        make()
        taken.append((time.process_time() - started) * 1000)
    return sorted(taken)[times // 2]


STYLE = """
@font-face { font-family: body; src: url(file://%s) } @font-face { font-family: strong; src: url(file://%s) }
@page { size: A4; margin: 32mm 26mm 24mm 28mm } body { font: 16pt/1.8 body; margin: 0 } strong { font-family: strong; font-weight: normal }
p { margin: 0; text-indent: 2em; text-align: justify } h1 { font: 22pt body; text-align: center } .salutation { text-indent: 0 }
ol { margin: 0 0 0 2em; padding: 0; list-style: cjk-ideographic } .sign-off { text-align: right } .letter + .letter { break-before: page }
.how { border: solid black; border-width: 0.7pt 0; font-size: 10.5pt; display: flex; margin-top: 20mm }
.how p { text-indent: 0 } svg { width: 31mm; height: 31mm }
"""


def html(some: list[Paper]) -> str:
    """Return the same letters as a page for WeasyPrint."""
    return f"<style>{STYLE % fonts.OURS[:2]}</style>" + "".join(map(_html, some))


def _html(paper: Paper) -> str:
    fields = {**COMMON, **paper.fields, "code": paper.code, "link": paper.address_of_link}
    document = markup.parse(text().source, fields)
    how = f"<p>签署码 <strong>{paper.code}</strong></p><p>办理：微信扫左侧专属二维码，或在公众号“示例人社”发送签署码。</p><p>核实请自行拨打12333。</p>"
    body = f"<h1>{document.title}</h1>{markup.to_html(document)}"
    return f'<div class="letter">{body}<div class="how">{qr.svg(paper.address_of_link)}<div>{how}</div></div></div>'


def compare(per_letter: float, sample: int) -> None:
    """Set some of the same letters with WeasyPrint, and print the ratios against what we aim at."""
    some = papers(sample)
    ours = timed(lambda: documents.chunk(text(), some[:1], settings=SETTINGS, now=AT), 15)
    try:
        import weasyprint
    except ImportError:
        print(f"one letter alone {ours:.1f} ms; WeasyPrint is not installed, so there is nothing to hold it against")
        return
    from weasyprint.text.fonts import FontConfiguration

    configuration = FontConfiguration()

    def set_by_other(letters: list[Paper]) -> bytes:
        content: bytes = weasyprint.HTML(string=html(letters)).write_pdf(font_config=configuration)
        return content

    alone = timed(lambda: set_by_other(some[:1]), 5)
    together = timed(lambda: set_by_other(some), 3) / sample
    print(f"WeasyPrint {weasyprint.__version__}: {together:.1f} ms a letter in one document of {sample}, {alone:.1f} ms alone; ours alone {ours:.1f} ms")
    better = min(together, alone)
    print(f"a letter of a batch: {better / per_letter:.1f} x faster a core (aim {AIM_BATCH} x: {_verdict(better >= AIM_BATCH * per_letter)})", end="; ")
    print(f"a letter alone: {alone / ours:.1f} x faster (aim {AIM_ALONE} x: {_verdict(alone >= AIM_ALONE * ours)})")


def _verdict(met: bool) -> str:
    return "met" if met else "missed"


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--letters", type=int, default=15_000)
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--sample", type=int, default=20)
    chosen = options.parse_args()
    compare(whole_run(chosen.letters, chosen.processes), chosen.sample)


if __name__ == "__main__":
    main()

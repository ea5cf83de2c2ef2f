"""What people read, in their language: gettext, English in the source, Chinese complete.

The language is chosen once a process by the doorway (`--lang`, then the setting `lang`) with `use`; a page is written in its
reader's with `speaking`. What click says by itself (headings of the help, mistakes in options) stands in the same catalogue.
"""

import gettext as _gettext
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path

from outreach.errors import OutreachError

DOMAIN = "outreach"
FOLDER = Path(__file__).parent / "locale"
LOCALES = {"zh": "zh_CN", "en": "en"}
WORDS = ("what", "why", "verb", "state", "mode", "origin")
"""The data of an error that are words of ours or of the system, where they are in the catalogue; all else is what people wrote."""
_chosen: dict[str, _gettext.NullTranslations] = {}
_spoken: ContextVar[_gettext.NullTranslations | None] = ContextVar("spoken", default=None)


def use(lang: str) -> None:
    """Speak `zh` or `en` from now on."""
    _chosen["now"] = catalogue(lang)
    _tell_libraries(lang)


@contextmanager
def speaking(lang: str) -> Iterator[None]:
    """Speak `zh` or `en` to one reader; what others are told meanwhile, in other threads and tasks, stays in their language."""
    before = _spoken.set(catalogue(lang))
    try:
        yield
    finally:
        _spoken.reset(before)


@lru_cache(maxsize=4)
def catalogue(lang: str) -> _gettext.NullTranslations:
    """Return the catalogue of a language; English is the source itself and needs none."""
    if lang == "en":
        return _gettext.NullTranslations()
    return _gettext.translation(DOMAIN, FOLDER, ["zh_CN"], fallback=True)


def gettext(message: str) -> str:
    """Translate one message id."""
    if not message:
        return ""
    if (spoken := _spoken.get()) is not None:
        return spoken.gettext(message)
    if "now" not in _chosen:
        use("zh")
    return _chosen["now"].gettext(message)


def say(error: OutreachError) -> str:
    """Put an error into one line of the chosen language, with its data filled in; an error among them is said in its own words."""
    words = {key: gettext(value) for key, value in error.data.items() if key in WORDS and isinstance(value, str)}
    words |= {key: say(value) for key, value in error.data.items() if isinstance(value, OutreachError)}
    return gettext(error.message_id()).format(**error.data | words)


def _tell_libraries(lang: str) -> None:
    """Let the libraries that speak through the process-wide gettext (click) find our catalogue.

    They take the language from LANGUAGE, which goes before LC_ALL, LC_MESSAGES and LANG and, unlike those, changes neither how
    files are read nor how numbers are written; the processes that this one starts speak the same language.
    """
    _gettext.bindtextdomain(DOMAIN, FOLDER)
    _gettext.textdomain(DOMAIN)
    os.environ["LANGUAGE"] = LOCALES.get(lang, LOCALES["zh"])

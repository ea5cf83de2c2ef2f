"""What people read, in their language: gettext, English in the source, Chinese complete.

The language is chosen once a process by the doorway (`--lang`, then the setting `lang`) with `use`.
"""

import gettext as _gettext
from pathlib import Path

from outreach.errors import OutreachError

DOMAIN = "outreach"
FOLDER = Path(__file__).parent / "locale"
_chosen: dict[str, _gettext.NullTranslations] = {}


def use(lang: str) -> None:
    """Speak `zh` or `en` from now on."""
    _chosen["now"] = catalogue(lang)


def catalogue(lang: str) -> _gettext.NullTranslations:
    """Return the catalogue of a language; English is the source itself and needs none."""
    if lang == "en":
        return _gettext.NullTranslations()
    return _gettext.translation(DOMAIN, FOLDER, ["zh_CN"], fallback=True)


def gettext(message: str) -> str:
    """Translate one message id."""
    if "now" not in _chosen:
        use("zh")
    return _chosen["now"].gettext(message) if message else ""


def say(error: OutreachError) -> str:
    """Put an error into one line of the chosen language, with its data filled in."""
    return gettext(error.message_id()).format(**error.data)

"""What a visitor reads before signing: letter, pledge and privacy notice as they were frozen, and for readers of English a translation beside them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from outreach.links.resolving import Visitor
from outreach.pledges import versions
from outreach.rendering import markup, templates
from outreach.rendering.frontmatter import TemplateInvalid
from outreach.settings import Settings

Texts = dict[str, "Text"]


@dataclass(frozen=True, slots=True)
class Text:
    """One text as a page shows it."""

    title: str
    html: Markup
    lang: str


def frozen(visitor: Visitor) -> Texts:
    """Return the texts that are signed, with this visitor's fields filled in: letter, pledge, privacy."""
    version = visitor.version
    sources = {"letter": version.letter, "pledge": version.source, "privacy": version.privacy}
    return {part: _text(source, visitor.fields, file=part, lang="zh-CN") for part, source in sources.items()}


def translated(visitor: Visitor, settings: Settings) -> Texts:
    """Return translations for information, of those texts that still stand as they were frozen: a changed one's would mislead."""
    version = visitor.version
    pledge = f"pledge/{version.pledge}"
    head = templates.parse(pledge, version.source)
    names = {"letter": head.letter or versions.ADDITIONS[0], "pledge": pledge, "privacy": head.privacy or versions.ADDITIONS[1]}
    sources = {"letter": version.letter, "pledge": version.source, "privacy": version.privacy}
    folders = settings.template_folders
    found: dict[str, Text] = {}
    for part, name in names.items():
        try:
            stands = templates.load(name, folders)
            beside = templates.translation(stands, "en")
            if beside is not None and stands.text == sources[part]:
                found[part] = _text(beside.text, visitor.fields, file=beside.file, lang="en")
        except (templates.TemplateNotFound, TemplateInvalid):
            continue  # the office keeps no translation, or one that is not right: the text itself is there
    return found


def _text(source: str, fields: Mapping[str, Any], *, file: str, lang: str) -> Text:
    document = markup.parse(source, fields, file=file)
    return Text(document.title, markup.to_html(document), lang)

"""What a provider sends as a form: read as a whole or refused with what is wrong with it."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from outreach.channels.base import MalformedCallback

MOST_FIELDS = 200
FORM = "application/x-www-form-urlencoded"


class NotAForm(MalformedCallback):
    """This callback came as {kind}; a callback is a form (application/x-www-form-urlencoded)."""


class FormBroken(MalformedCallback):
    """The form of this callback cannot be read: it is cut, is not UTF-8 or has more than {most} fields."""


def read_form(body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of a form, the last of a name that comes twice. Raises NotAForm and FormBroken."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != FORM:
        raise NotAForm(kind=kind[:80] or "-")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(body), errors="strict", max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise FormBroken(most=MOST_FIELDS) from error

"""A time-stamping authority (RFC 3161): asked for the time of a seal, where the office has named one; its clock, never ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from pyhanko.sign.timestamps import HTTPTimeStamper, TimestampRequestError

from outreach.errors import Misconfigured, Unavailable
from outreach.settings import Settings, is_loopback

SECONDS = 10


class TimestampOutside(Misconfigured):
    """In a rehearsal seal_timestamp_url must stay on this machine; {url} does not."""


class TimestampMissing(Unavailable):
    """The time-stamping service {url} does not answer as it should; the file is not sealed without it. Try again later."""


def stamper(settings: Settings) -> HTTPTimeStamper | None:
    """Return the client of the office's time-stamping authority, none where it has none. Raises TimestampOutside."""
    url = settings.seal_timestamp_url
    if not url:
        return None
    if settings.rehearsal and not is_loopback(url):
        raise TimestampOutside(key="seal_timestamp_url", url=url)
    return HTTPTimeStamper(url, timeout=SECONDS)


@contextmanager
def asked(url: str) -> Iterator[None]:
    """Say in words of ours that the authority failed while something was sealed."""
    try:
        yield
    except TimestampRequestError as error:
        raise TimestampMissing(what="seal_timestamp_url", url=url) from error

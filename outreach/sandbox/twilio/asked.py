"""Read what a create request asks for, or refuse it with the code and the words that Twilio has for it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from outreach.sandbox.callbacks import Address
from outreach.sandbox.forms import fields

LONGEST_BODY = 1600
LONGEST_VALIDITY = 36_000
LONGEST_URL = 4000
SCHEDULE = (15 * 60, 35 * 24 * 3600)

_NUMBER = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}", re.ASCII)
_SERVICE = re.compile(r"MG[0-9a-fA-F]{32}", re.ASCII)
_CHINA = re.compile(r"\+861[3-9]\d{9}", re.ASCII)

MAGIC_TO = {"+15005550001": 21211, "+15005550002": 21612, "+15005550003": 21408, "+15005550004": 21610, "+15005550009": 21614}
MAGIC_FROM = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}
"""The numbers of Twilio's test credentials (https://www.twilio.com/docs/iam/test-credentials)."""

WORDS = {
    20001: (400, "Invalid parameter {value}"),
    20003: (401, "Authenticate"),
    20004: (405, "Method not allowed"),
    20404: (404, "The requested resource {value} was not found"),
    20429: (429, "Too Many Requests"),
    20500: (500, "An internal server error has occurred"),
    21211: (400, "Invalid 'To' Phone Number: {value}"),
    21212: (400, "Invalid From Number (caller ID): {value}"),
    21408: (400, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {value}"),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' phone number is required."),
    21604: (400, "A 'To' phone number is required."),
    21606: (400, "The 'From' phone number provided ({value}) is not a valid message-capable Twilio phone number for this destination."),
    21609: (400, "The 'StatusCallback' URL {value} is not a valid URL."),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21611: (429, "This 'From' number has exceeded the maximum number of queued messages: {value}"),
    21612: (400, "Message cannot be sent with the current combination of 'To' ({value}) and/or 'From' parameters"),
    21614: (400, "To number: {value}, is not a mobile number"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
    21619: (400, "A text message body or media urls must be specified."),
    21701: (400, "The Messaging Service {value} does not exist"),
    35114: (400, "SendAt time must be between 15 minutes and 35 days (inclusive) in the future"),
    90007: (400, "ValidityPeriod {value} is outside of the accepted range of 1 to 36000"),
}
"""HTTP status and message of each code that this gateway gives."""


class Declined(Exception):
    """Twilio would refuse the request with this code."""

    def __init__(self, code: int, value: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.status, words = WORDS[code]
        self.message = words.format(value=value)


@dataclass(slots=True)
class Asked:
    """One message that was asked for and that nothing speaks against."""

    to: str
    sender: str | None
    service: str | None
    body: str
    media: int
    address: Address | None
    attempt: str | None
    send_at: float | None


def read(form: list[tuple[str, str]], now: float) -> Asked:
    """Return what the `form` of a create request asks for; raises Declined. Keys that are not known are ignored, as Twilio does."""
    named = dict(form)
    to = _to(named.get("To", ""))
    sender, service = _sender(named)
    media = sum(name == "MediaUrl" for name, _ in form)
    body = _body(named, media)
    validity = named.get("ValidityPeriod")
    if validity is not None and not (validity.isascii() and validity.isdigit() and 1 <= int(validity) <= LONGEST_VALIDITY):
        raise Declined(90007, validity)
    address, attempt = _callback(named.get("StatusCallback"))
    return Asked(to, sender, service, body, media, address, attempt, _send_at(named, service, now))


def _to(to: str) -> str:
    if not to:
        raise Declined(21604)
    if to in MAGIC_TO:
        raise Declined(MAGIC_TO[to], to)
    if not _NUMBER.fullmatch(to):
        raise Declined(21211, to)
    if to.startswith("+86") and not _CHINA.fullmatch(to):
        raise Declined(21211 if to.startswith("+861") and to[4] not in "012" else 21614, to)  # a Chinese landline gets no texts
    return to


def _sender(named: dict[str, str]) -> tuple[str | None, str | None]:
    sender, service = named.get("From") or None, named.get("MessagingServiceSid") or None
    if sender is None and service is None:
        raise Declined(21603)
    if service is not None and not _SERVICE.fullmatch(service):
        raise Declined(21701, service)
    if sender is not None:
        if sender in MAGIC_FROM:
            raise Declined(MAGIC_FROM[sender], sender)
        if not _SENDER.fullmatch(sender):
            raise Declined(21212, sender)
    return sender, service


def _body(named: dict[str, str], media: int) -> str:
    body = named.get("Body")
    content = named.get("ContentSid")
    if not body and content:
        return f"{content} {named.get('ContentVariables', '')}".rstrip()
    if not body and not media:
        raise Declined(21619 if body is None else 21602)
    if len(body or "") > LONGEST_BODY:
        raise Declined(21617)
    return body or ""


def _callback(url: str | None) -> tuple[Address | None, str | None]:
    """Return where receipts go, and the attempt that the sender wrote into the query of that address (`a`)."""
    if not url:
        return None, None
    try:
        address = Address.parse(url)
    except ValueError as cause:
        raise Declined(21609, url) from cause
    if len(url) > LONGEST_URL:
        raise Declined(21609, url)
    return address, dict(fields(address.query.encode())).get("a")


def _send_at(named: dict[str, str], service: str | None, now: float) -> float | None:
    """Return when a scheduled message is due; without a Messaging Service Twilio ignores the schedule."""
    text = named.get("SendAt")
    if not text or service is None or named.get("ScheduleType") != "fixed":
        return None
    try:
        due = datetime.fromisoformat(text)
    except ValueError as cause:
        raise Declined(35114) from cause
    seconds = (due if due.tzinfo else due.replace(tzinfo=UTC)).timestamp()
    if not SCHEDULE[0] <= seconds - now <= SCHEDULE[1]:
        raise Declined(35114)
    return seconds

"""The owners of the demo: they type the code of their text on the office's page, over HTTP as from a phone, and sign, decline or correct."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outreach.channels import loopback
from outreach.errors import OutreachError

CODE = re.compile(r"签署码([2-9A-Z]{6})")
SIGNERS = 12
AGREE = {"agree": "1", "all": "1"}
DRAWN = [[[120 + 9 * step, 90 + 40 * (step % 3), 30 * step] for step in range(20)], [[400, 60 + 12 * step, 700 + 25 * step] for step in range(16)]]
"""A signature as a finger draws it: strokes of x, y and milliseconds."""


class PageRefused(OutreachError):
    """The office's page answered {status} at {path}."""


@dataclass(frozen=True)
class Owner:
    """Somebody who got a text: his phone, and the code in it."""

    phone: str
    code: str


def owners(ledger: Sequence[Mapping[str, Any]]) -> list[Owner]:
    """Return who got a text, by the gateway's own ledger, each recipient once."""
    found = {CODE.findall(line["body"])[0]: line["to"] for line in ledger if line["outcome"] == "delivered"}
    return [Owner(phone, code) for code, phone in found.items()]


def visit(url: str, owner: Owner) -> str:
    """Type the code and the last four digits of the phone, and return the path of the personal page."""
    return _led(url, "/", {"code": owner.code.lower(), "digits": owner.phone[-4:]})


def sign_some(url: str, people: Sequence[Owner]) -> int:
    """Let several owners sign, each in his own way, and the first of them twice; return how many acts of signing."""
    for owner, form in zip(people, _forms(), strict=False):
        page = visit(url, owner)
        _led(url, f"{page}/sign", form)
    _led(url, f"{visit(url, people[0])}/sign", next(_forms()))  # a second tap: it gives back the first signature
    return min(len(people), SIGNERS)


def sign(url: str, page: str) -> None:
    """Sign at a personal page, all that its owner speaks for."""
    _led(url, f"{page}/sign", next(_forms()))


def _forms() -> Iterator[dict[str, str]]:
    for number in range(SIGNERS):
        form = {"signer": f"{'张王李赵'[number % 4]}建国", "capacity": "legal_representative", **AGREE}
        if number % 3 == 0:
            form["honour"] = "1"
        if number % 4 == 1:
            form["ink"] = json.dumps(DRAWN)
        if number % 5 == 2:
            form |= {"capacity": "agent", "relation": "工资专管员"}
        yield form


def decline(url: str, owner: Owner, reason: str) -> None:
    """Let an owner say no."""
    _led(url, f"{visit(url, owner)}/decline", {"reason": reason, "all": "1"})


def correct(url: str, owner: Owner, detail: str) -> None:
    """Let somebody say that he is not the principal any more."""
    _led(url, f"{visit(url, owner)}/correct", {"kind": "not_principal", "detail": detail})


def _led(url: str, path: str, form: Mapping[str, str]) -> str:
    status, location = loopback.submit(url, path, form)
    if status != 303:
        raise PageRefused(status=status, path=re.sub(r"/p/[\w-]+", "/p/…", path))
    return location.partition("?")[0].partition("#")[0]

"""Servers of ours on this machine: whether they answer, and the sandbox's own doors."""

import http.client
import json
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from outreach.errors import Misconfigured
from outreach.settings import is_loopback


def answers(url: str, path: str, *, seconds: float = 1.0) -> bool:
    """Whether `GET url+path` on this machine is answered with 200; never asks another machine, which is not ours to start."""
    return not is_loopback(url) or ask(url, path, seconds=seconds) is not None


def ask(url: str, path: str, *, seconds: float = 1.0) -> dict[str, Any] | None:
    """Return what a server of ours on this machine answers to a GET, such as for its health; None when none answers with 200."""
    connection = _connection(url, seconds)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        document = json.loads(response.read())
        return document if response.status == 200 and isinstance(document, dict) else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def wait_for(url: str, path: str, *, seconds: float) -> bool:
    """Wait until a server of ours answers; return whether it did in time."""
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        if answers(url, path):
            return True
        time.sleep(0.05)
    return False


def free_port() -> int:
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def post(url: str, path: str, document: Mapping[str, Any]) -> int:
    """Post JSON to a server of ours on this machine, and return the status."""
    connection = _connection(url, 10)
    try:
        connection.request("POST", path, json.dumps(document), {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def submit(url: str, path: str, fields: Mapping[str, str]) -> tuple[int, str]:
    """Post a form to a server of ours on this machine, as a browser does, and return the status and where it leads."""
    connection = _connection(url, 10)
    try:
        connection.request("POST", path, urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"})
        response = connection.getresponse()
        return response.status, response.getheader("Location") or ""
    finally:
        connection.close()


def lines(url: str, path: str) -> list[dict[str, Any]]:
    """Return the JSON lines that a server of ours on this machine streams."""
    connection = _connection(url, 60)
    try:
        connection.request("GET", path)
        return [json.loads(line) for line in connection.getresponse().read().splitlines() if line]
    finally:
        connection.close()


def _connection(url: str, seconds: float) -> http.client.HTTPConnection:
    if not is_loopback(url):
        raise Misconfigured(key="sandbox_url", why="it must stay on this machine")
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=seconds)

"""Serve the web application until SIGTERM or Ctrl-C."""

import errno
import socket

import uvicorn

from outreach.database.engine import Database
from outreach.errors import Unavailable
from outreach.settings import Settings
from outreach.web import app


class PortTaken(Unavailable):
    """The address {host}:{port} is taken; stop what listens there, or set another port."""


class AddressRefused(Unavailable):
    """Nothing can be served at {host}:{port} ({why}); set another host or port."""


def serve(settings: Settings) -> None:
    """Serve on the settings' host and port. Raises PortTaken and AddressRefused."""
    config = uvicorn.Config(
        app.create(settings, Database(settings.database_url)),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=10,
        backlog=2048,
    )
    with _bound(settings.host, settings.port) as listener:
        try:
            uvicorn.Server(config).run(sockets=[listener])
        except OSError as error:
            raise _refused(error, settings.host, settings.port) from error


def _bound(host: str, port: int) -> socket.socket:
    """Take the address. The server itself listens, once it hears signals: whoever can connect is served, and stops are clean."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise _refused(error, host, port) from error
    return listener


def _refused(error: OSError, host: str, port: int) -> Unavailable:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(host=host, port=port)
    return AddressRefused(host=host, port=port, why=error.strerror or error)

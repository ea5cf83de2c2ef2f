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
    )
    with _listen(settings.host, settings.port) as listener:  # last, so that whoever can connect is answered
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(host=host, port=port) from error
        raise AddressRefused(host=host, port=port, why=error.strerror or error) from error
    return listener

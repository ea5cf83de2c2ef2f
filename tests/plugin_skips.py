"""A pytest plugin: what could not be run is printed last, and where CI is set it is a failure.

A test that is skipped for want of a server or a program proves nothing; a person may live with that, a build may not.
"""

import os
from collections.abc import Iterator

import pytest


def skipped(config: pytest.Config) -> list[str]:
    """Return what was skipped, each with its reason, in order."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    return sorted({f"{report.nodeid}: {report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr}" for report in reports})


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Turn a green run with skips into a red one, in CI."""
    if os.environ.get("CI") and exitstatus == pytest.ExitCode.OK and skipped(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> Iterator[None]:
    """Print what could not be run after everything else."""
    yield
    names = skipped(config)
    if not names:
        return
    terminalreporter.section("could not be run" + (": in CI that is a failure" if os.environ.get("CI") else ""), yellow=True)
    for name in names:
        terminalreporter.line(name)

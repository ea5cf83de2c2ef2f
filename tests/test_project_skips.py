"""A skipped test is printed last, and in CI it is a failure: the plugin itself, in a pytest of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SKIPS = """
import pytest

def test_that_runs():
    pass

@pytest.mark.skip(reason="no server here")
def test_that_cannot():
    pass
"""
RUNS = "def test_that_runs(): pass"


@pytest.mark.parametrize(("story", "ci", "workers", "code"), [(SKIPS, "", 0, 0), (SKIPS, "true", 1, 1), (RUNS, "true", 0, 0)])
def test_a_skip_fails_only_in_ci_and_is_always_told(tmp_path: Path, story: str, ci: str, workers: int, code: int) -> None:
    (tmp_path / "test_story.py").write_text(story)
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "CI": ci, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    options = ["-q", "-p", "plugin_skips", "-p", "xdist", "-n", str(workers), "-c", os.devnull, "--rootdir", str(tmp_path)]
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert ("test_that_cannot: Skipped: no server here" in ended.stdout) == (story == SKIPS)

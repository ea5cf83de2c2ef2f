"""Whatever is typed, and wherever it is run: one line that says what to do, the right exit code, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from outreach import cli


def outreach(home: Path, *arguments: str | bytes, **options) -> "subprocess.CompletedProcess[bytes]":
    environment = {**os.environ, "OUTREACH_HOME": str(home), "OUTREACH_LANG": "en"}
    command = [os.fsencode(sys.executable), b"-m", b"outreach", *(os.fsencode(argument) for argument in arguments)]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(command, env=environment, check=False, **pipes)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("office")
    assert outreach(folder, "init", "--yes").returncode == 0
    return folder


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["campaing", "list"], 2, "campaing"),
        (["campaign", "lst"], 2, "lst"),
        (["campaign", "plan"], 2, "FILE"),
        (["campaign", "plan", "nowhere.toml"], 1, "nowhere.toml"),
        (["campaign", "status", "nobody"], 1, "nobody"),
        (["campaign", "test", "nobody", "--to", "12345"], 1, "nobody"),
        (["contacts", "import", "/proc"], 1, "/proc"),
        (["audience", "count", "镇接 = 逍林镇"], 1, "镇街"),
        (["campaign", "new", "drive", "--yes", "--audience", "镇接 = 逍林镇"], 1, "镇街"),
        (["campaign", "new", "drive", "--yes", "--audience", ""], 1, "audience"),
        (["--home", "/etc/passwd", "check"], 2, "/etc/passwd"),
        (["--home", "/proc/nope", "init", "--yes"], 1, "/proc/nope"),
        (["demo", "--out", "/proc/x"], 1, "/proc/x"),
        (["campaign", "launch", "x", "--format", "xlsx"], 2, "xlsx"),
    ],
)
def test_bad_input_gets_one_line_and_the_right_exit_code(
    home: Path, arguments: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OUTREACH_HOME", str(home))
    monkeypatch.setenv("OUTREACH_LANG", "en")
    returned = cli.run(arguments)
    lines = capsys.readouterr().err.strip().splitlines()
    assert (returned, len(lines)) == (code, 1), lines
    assert lines[0].startswith("error: ")
    assert said in lines[0]


def test_a_process_too_says_what_is_wrong_in_one_line(home: Path) -> None:
    for arguments, code, said in ((["campaign", "status", "局".encode("gbk")], 2, "LANG"), (["campaign", "status", "nobody"], 1, "nobody")):
        done = outreach(home, *arguments)
        lines = done.stderr.decode().strip().splitlines()
        assert (done.returncode, len(lines), said in lines[0]) == (code, 1, True), done


def test_no_command_at_all_shows_the_help(home: Path) -> None:
    done = outreach(home)
    assert (done.returncode, b"Traceback" in done.stderr, b"campaign" in done.stderr) == (2, False, True)


def test_a_full_disk_is_no_traceback(home: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        for format in ("json", "xlsx"):
            done = outreach(home, "campaign", "list", "--format", format, stdout=full)
            assert (done.returncode, done.stderr.count(b"\n"), b"Traceback" in done.stderr) == (1, 1, False), done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["contacts", "export"],
        pytest.param(["contacts", "list"], marks=pytest.mark.long),
        pytest.param(["contacts", "list", "--format", "xlsx"], marks=pytest.mark.long),
        pytest.param(["audience", "count", "全部"], marks=pytest.mark.long),
        pytest.param(["report", "deliveries", "--format", "json"], marks=pytest.mark.long),
        pytest.param(["campaign", "list", "--help"], marks=pytest.mark.long),
        ["--version"],
    ],
)
def test_a_reader_that_went_away_is_no_failure(home: Path, arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as gone:
        done = outreach(home, *arguments, stdout=gone)
        assert (done.returncode, b"Exception" in done.stderr, b"Traceback" in done.stderr) == (0, False, False), done
        assert outreach(home, *arguments, stdout=gone, stderr=gone).returncode == 0


def test_a_reader_that_goes_away_in_the_middle_is_no_failure(home: Path) -> None:
    (home / "名单.csv").write_text("企业名称,地址\n" + "".join(f"示例{n}厂,{'示例路' * 20}\n" for n in range(3000)), "utf-8")
    assert outreach(home, "contacts", "import", str(home / "名单.csv")).returncode == 0
    command = [sys.executable, "-m", "outreach", "--home", str(home), "contacts", "export"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as export:
        assert export.stdout is not None
        assert export.stderr is not None
        assert export.stdout.readline()
        export.stdout.close()
        said = export.stderr.read()
    assert (export.returncode, said) == (0, b"")


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "outreach.db").write_text("no database, but long enough to be taken for one " * 100)
    done = outreach(tmp_path, "campaign", "list")
    assert (done.returncode, b"is no database" in done.stderr, b"Traceback" in done.stderr) == (1, True, False), done.stderr


def test_settings_survive_a_name_that_cannot_be_written(home: Path) -> None:
    before = (home / "outreach.toml").read_bytes()
    assert outreach(home, "init", "--yes", "--office", "局".encode("gbk")).returncode == 2
    assert (home / "outreach.toml").read_bytes() == before

"""Setting up an office: what cannot stand is refused in one line before anything is written, and `check` says each fault once."""

import json
import os
import pty
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from outreach import cli

GOOD = "correct horse battery"


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in an office that lies in a folder of its own; return its exit code, stdout and stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli.run(["--lang", "en", "--home", str(tmp_path / "office"), *arguments])
        return code, *capsys.readouterr()

    return run


def password(folder: Path, text: str = GOOD) -> str:
    path = folder / "password.txt"
    path.write_text(text + "\n")
    return str(path)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--signature", "示", "2 to 16 characters"),
        ("--signature", "示" * 17, "2 to 16 characters"),
        ("--signature", "【示例人社】", "without 【】 and []"),
        ("--signature", "[abc]", "without 【】 and []"),
        ("--signature", "示例\n人社", "on one line"),
        ("--signature", "", "2 to 16 characters"),
        ("--hotline", "call us", "a hotline is digits"),
        ("--hotline", "12333\n", "a hotline is digits"),
        ("--hotline", "- -", "a hotline is digits"),
        ("--hotline", "１２３３３", "a hotline is digits"),
        ("--office", "示例市\n人社局", "a name is one line"),
        ("--place", " ", "a name is one line"),
        ("--wechat", "示例\r人社", "a name is one line"),
    ],
)
def test_what_could_not_stand_in_a_text_is_refused_in_one_line_and_nothing_is_written(tmp_path: Path, run, option: str, value: str, said: str) -> None:
    code, out, err = run("init", "--yes", option, value)
    assert (code, out, len(err.splitlines())) == (1, "", 1), err
    assert option in err and said in err
    assert not (tmp_path / "office").exists()


@pytest.mark.parametrize(
    ("option", "value"), [("--signature", "示例"), ("--signature", "示" * 16), ("--hotline", "0574-6380 12333"), ("--office", " 示例市人社局 ")]
)
def test_what_can_stand_is_kept_without_blanks_around_it(tmp_path: Path, run, option: str, value: str) -> None:
    assert run("init", "--yes", option, value)[0] == 0
    kept = tomllib.loads((tmp_path / "office" / "outreach.toml").read_text("utf-8"))
    assert value.strip() in kept.values()


@pytest.mark.parametrize(("text", "said"), [("short", "fewer than 10"), ("password123", "too easy to guess"), ("alice.alice", None)])
def test_a_password_that_is_refused_leaves_nothing_behind(tmp_path: Path, run, text: str, said: str | None) -> None:
    code, _out, err = run("init", "--yes", "--account", "alice", "--password-file", password(tmp_path, text))
    assert (code, (tmp_path / "office").exists()) == ((0, True) if said is None else (1, False))
    assert said is None or said in err


def test_without_a_terminal_the_options_are_named_that_would_have_been_asked_for(tmp_path: Path, run) -> None:
    code, _out, err = run("init", "--office", "示例市人社局", "--hotline", "12333")
    assert (code, len(err.splitlines())) == (1, 1)
    assert "give --place --signature --wechat, or --yes" in err
    code, _out, err = run("init", "--yes", "--account", "alice")
    assert (code, "--password-file FILE" in err) == (1, True)
    assert not (tmp_path / "office").exists()


def test_all_that_is_asked_for_may_be_given_instead(run) -> None:
    options = {"--office": "示例市人社局", "--place": "示例市", "--signature": "示例人社", "--hotline": "12333", "--wechat": "示例人社"}
    assert run("init", *(part for pair in options.items() for part in pair))[0] == 0


def test_a_wrong_answer_at_the_terminal_is_asked_for_again(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "outreach", "--lang", "en", "--home", str(tmp_path), "init"]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        os.close(theirs)
        os.write(ours, "\n\n【示例】\n示例局\ncall\n12345\n\n".encode())
        _out, err = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0, err
    assert "without 【】 and []" in err and "a hotline is digits" in err
    kept = tomllib.loads((tmp_path / "outreach.toml").read_text("utf-8"))
    assert (kept["sms_signature"], kept["hotline"]) == ("示例局", "12345")


def test_settings_are_changed_whole_or_not_at_all_and_a_link_stays_a_link(tmp_path: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("init", "--yes")[0] == 0
    file, elsewhere = tmp_path / "office" / "outreach.toml", tmp_path / "kept.toml"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    elsewhere.chmod(0o640)
    assert run("init", "--yes", "--hotline", "12345")[0] == 0
    assert (file.is_symlink(), elsewhere.stat().st_mode & 0o777, 'hotline = "12345"' in elsewhere.read_text("utf-8")) == (True, 0o640, True)
    assert list(tmp_path.glob(".kept*")) == []
    elsewhere.write_text("hotline = \n")
    assert run("init", "--yes", "--hotline", "12333")[0] == 1
    assert elsewhere.read_text() == "hotline = \n"


def test_a_second_account_is_not_made_by_init_and_that_is_said(tmp_path: Path, run) -> None:
    file = password(tmp_path)
    assert run("init", "--yes", "--account", "alice", "--password-file", file)[0] == 0
    assert "bob was not made" in run("init", "--yes", "--account", "bob", "--password-file", file)[2]
    assert "not made" not in run("init", "--yes", "--account", "alice", "--password-file", file)[2]


def checks(answer: tuple[int, str, str]) -> list[tuple[str, str]]:
    return [(item["name"], item["state"]) for item in json.loads(answer[1])["checks"]]


def test_check_says_a_fault_of_the_settings_once(tmp_path: Path, run) -> None:
    (tmp_path / "office").mkdir()
    (tmp_path / "office" / "outreach.toml").write_text("port = 99999\n")
    answer = run("check", "--format", "json")
    assert (answer[0], checks(answer)) == (1, [("settings", "fail")])


def test_check_says_a_missing_database_once_and_looks_at_the_rest(run) -> None:
    answer = run("check", "--format", "json")
    found = checks(answer)
    details = [item["detail"] for item in json.loads(answer[1])["checks"]]
    assert answer[0] == 1
    assert sum(state == "fail" for _name, state in found) == 1
    assert {"templates", "web", "sandbox"} <= {name for name, _state in found}
    assert len(details) == len(set(details))


def test_check_does_not_tick_a_settings_file_that_is_not_there(run) -> None:
    answer = run("check", "--format", "json")
    first = json.loads(answer[1])["checks"][0]
    assert (first["name"], first["state"], first["cure"]) == ("settings", "warn", "outreach init")
    assert run("init", "--yes")[0] == 0
    assert checks(run("check", "--format", "json"))[0] == ("settings", "ok")

"""Settings: option over environment over file over default, each mode's own defaults, and one line for what is wrong."""

from datetime import timedelta
from pathlib import Path

import pytest

from outreach import i18n, settings
from outreach.errors import Misconfigured


def write(home: Path, text: str) -> Path:
    (home / "outreach.toml").write_text(text, "utf-8")
    return home


def test_an_option_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.load(tmp_path).port == 8000
    write(tmp_path, "port = 8001\n")
    assert settings.load(tmp_path).port == 8001
    monkeypatch.setenv("OUTREACH_PORT", "8002")
    assert settings.load(tmp_path).port == 8002
    assert settings.load(tmp_path, port=8003).port == 8003


def test_rehearsal_counts_in_seconds_and_production_in_the_providers_pace(tmp_path: Path) -> None:
    rehearsal = settings.load(tmp_path)
    assert (rehearsal.lease, rehearsal.weekly_cap, rehearsal.ignore_hours, rehearsal.sender[0].per_second) == (timedelta(seconds=20), 0, True, 0)
    production = settings.load(tmp_path, mode="production")
    assert (production.lease, production.weekly_cap, production.ignore_hours, production.sender[0].per_second) == (timedelta(seconds=60), 3, False, 20)
    assert production.twilio_base_url == "https://api.twilio.com"


def test_production_never_ignores_hours(tmp_path: Path) -> None:
    assert settings.load(tmp_path, mode="production", ignore_hours=True).ignore_hours is False


def test_a_secret_comes_from_its_file_and_shows_in_no_repr_of_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "twilio_auth_token").write_text("t0ken\n")
    assert settings.load(tmp_path, mode="production").twilio_auth_token == "t0ken"
    other = tmp_path / "other"
    other.write_text("0ther")
    monkeypatch.setenv("OUTREACH_TWILIO_AUTH_TOKEN_FILE", str(other))
    assert settings.load(tmp_path, mode="production").twilio_auth_token == "0ther"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1\n", "prot"),
        ("port = 99999\n", "port"),
        ("lease = '5 minutes'\n", "not a duration such as"),
        ("lease = '6s'\n", "twice request_timeout"),
        ("patience_sms = '30s'\n", "longer than lease"),
        ("port = \n", "TOML"),
        ("[[sender]]\nname = 'a'\nprice = 'cheap'\n", "sender"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        settings.load(write(tmp_path, text))
    assert said in str(caught.value)


WORDS_OF_OTHERS = ("should be", "Input", "Expected", "valid", "Value error", "Unterminated", "Illegal", "Cannot", "codec", "cannot be understood")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prot = 1", "The setting prot is wrong: there is no such setting; the nearest is port."),
        ("zzzz = 1", "there is no such setting. It comes"),
        ("port = 'x'", "it must be a whole number"),
        ("port = 1.5", "it must be a whole number"),
        ("port = 0", "it must be at least 1"),
        ("port = 99999", "it must be at most 65535"),
        ("canary_failures = 'many'", "it must be a number"),
        ("ignore_hours = 'perhaps'", "it must be true or false"),
        ("hotline = 12333", "it must be text in quotation marks"),
        ("mode = 'real'", "it must be one of rehearsal, production"),
        ("sender = 1", "it must be a list"),
        ("sender = [1]", "sender.1 is wrong: it must be a table"),
        ("[[sender]]\nprice = 'cheap'", "sender.1.price is wrong: it must be a number"),
        ("[[sender]]\nfron = '1'", "sender.1.fron is wrong: there is no such setting; the nearest is from"),
        ("lease = '-5s'", "'-5s' is less than nothing"),
        ("patience_sms = '30s'", "settle_grace together (30s)"),
        ("port 1", "line 1, column 6: a key must be followed by ="),
        ("port =", "at the end of the file: this is no value"),
        ("hotline = call", "line 1, column 11: this is no value"),
        ("热线 = 1", "line 1, column 1: no key can begin here"),
        ("hotline = 'x", "at the end of the file: a closing quotation mark is missing"),
        ('hotline = "x\ny = 1', "line 1, column 13: a closing quotation mark is missing"),
        ('hotline = """x', "a closing quotation mark is missing"),
        ("sender = [1", "at the end of the file: a closing bracket is missing"),
        ("[[sender]", "a closing bracket is missing"),
        ("port = 1\nport = 2", "this is there already"),
        ("port = 1 2", "the line should end here"),
        (r'hotline = "C:\x"', "a backslash in quotation marks must be written twice"),
        (r'hotline = "C:\q"', "a backslash in quotation marks must be written twice"),
        ("port = 2026-02-31", "there is no such date"),
        ("hotline = '\x07'", "this character may not stand here"),
    ],
)
def test_why_a_setting_or_its_file_cannot_be_used_is_said_in_words_of_ours(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        settings.load(write(tmp_path, text))
    line = i18n.say(caught.value)
    assert said in line
    assert [word for word in WORDS_OF_OTHERS if word in line] == []
    i18n.use("zh")
    chinese = i18n.say(caught.value).replace(str(tmp_path), "")
    assert [word for word in ("it must", "line 1", "there is", "missing", "mode.") if word in chinese] == []


def test_a_wrong_setting_is_said_with_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured, match=f"It comes from {tmp_path}/outreach.toml"):
        settings.load(write(tmp_path, "port = 0"))
    with pytest.raises(Misconfigured, match="It comes from the command line"):
        settings.load(tmp_path, port=0)
    monkeypatch.setenv("OUTREACH_PORT", "0")
    with pytest.raises(Misconfigured) as caught:
        settings.load(tmp_path)
    assert "It comes from the environment variable OUTREACH_PORT" in i18n.say(caught.value)
    i18n.use("zh")
    assert "环境变量 OUTREACH_PORT" in i18n.say(caught.value)


def test_files_that_are_no_text_are_said_to_be_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outreach.toml").write_bytes(b"port = 1 \xff")
    with pytest.raises(Misconfigured, match="byte 10 is not UTF-8"):
        settings.load(tmp_path)
    (tmp_path / "outreach.toml").unlink()
    monkeypatch.setenv("OUTREACH_OFFICE_KEY_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(Misconfigured, match=r"nowhere cannot be read: No such file"):
        settings.load(tmp_path)


@pytest.mark.parametrize("text", ["15s", "2m", "72h", "3d", "250ms"])
def test_a_duration_is_read_back_as_it_was_written(text: str) -> None:
    assert settings.duration(settings.seconds(settings.duration(text))) == settings.duration(text)


@pytest.mark.parametrize(
    ("url", "stays"),
    [
        ("http://127.0.0.1:8099", True),
        ("http://localhost/x", True),
        ("http://127.0.0.1.evil.cn", False),
        ("http://localhost:80@evil.cn/", False),
        ("http://[::1]:8099", True),
        ("https://api.twilio.com", False),
    ],
)
def test_only_the_loopback_is_this_machine(url: str, stays: bool) -> None:
    assert settings.is_loopback(url) is stays

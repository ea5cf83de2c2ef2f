"""Settings: option over environment over file over default, each mode's own defaults, and one line for what is wrong."""

from datetime import timedelta
from pathlib import Path

import pytest

from outreach import settings
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

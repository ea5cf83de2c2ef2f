"""docker-compose.yml speaks of real commands and real settings; no engine runs here, so this is what can be held against it."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import outreach
from outreach import settings

ROOT = Path(__file__).parent.parent
GIVEN = {"POSTGRES_PASSWORD": "example"}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file as Compose reads it, with `${NAME:-default}` and `${NAME:?hint}` filled in."""
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    filled = re.sub(r"\$\{(\w+):([-?])([^}]*)\}", lambda found: GIVEN[found[1]] if found[2] == "?" else found[3], text)
    assert "${" not in filled
    document: dict[str, Any] = yaml.safe_load(filled)
    return document


def ours(compose: dict[str, Any]) -> dict[str, Any]:
    return {name: service for name, service in compose["services"].items() if service["image"].startswith("outreach:")}


def test_the_services_of_an_office_are_there(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"postgres", "redis", "migrate", "web", "worker", "schedule", "sandbox"}
    assert {name for name, service in compose["services"].items() if service.get("profiles")} == {"sandbox"}
    assert {service["image"] for service in ours(compose).values()} == {f"outreach:{outreach.__version__}"}


def test_each_command_is_a_real_command_with_real_options(compose: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    from outreach import cli

    assert re.search(r'^ENTRYPOINT \["outreach"\]$', (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    for name, service in ours(compose).items():
        assert cli.run([*service["command"], "--help"]) == 0, (name, capsys.readouterr())
        assert service["command"][0] in capsys.readouterr().out
    assert cli.run(["no-such-command", "--help"]) == 2


def test_each_variable_is_a_real_setting_with_a_value_that_can_be_read(
    compose: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, service in ours(compose).items():
        for variable, value in service["environment"].items():
            key = variable.removeprefix(settings.PREFIX).removesuffix("_FILE").lower()
            assert key in settings.Settings.model_fields, (name, variable)
            if variable.endswith("_FILE"):
                assert key in settings.SECRETS
                assert Path(value).name in service["secrets"]
                value = tmp_path / key
                value.write_text("")
            monkeypatch.setenv(variable, str(value))
        loaded = settings.load(tmp_path)
        assert loaded.database_url == "postgresql+psycopg://outreach:example@postgres/outreach"
        assert loaded.rehearsal
        assert settings.is_loopback(loaded.twilio_base_url)
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    assert {name.lower() for name in re.findall(r"\bOUTREACH_(\w+)=", dockerfile)} <= set(settings.Settings.model_fields)


def test_a_service_waits_only_for_what_can_come_true(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] != "service_healthy" or "healthcheck" in services[other]
            assert how["condition"] != "service_completed_successfully" or services[other]["restart"] == "on-failure"
        assert service.get("network_mode", "service:worker").removeprefix("service:") in services
    for name in ("web", "worker", "schedule"):
        assert services[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_each_volume_and_secret_that_is_used_is_declared(compose: dict[str, Any]) -> None:
    used = {volume.partition(":")[0] for service in compose["services"].values() for volume in service.get("volumes", [])}
    assert used == set(compose["volumes"])
    assert {secret for service in compose["services"].values() for secret in service.get("secrets", [])} == set(compose["secrets"])

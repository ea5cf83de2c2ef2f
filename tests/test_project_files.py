"""What a stranger finds around the code: exact versions, targets that exist, a licence."""

import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PINS = {
    canonicalize_name(found[1]): found[2]
    for found in re.finditer(r"^([\w.-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
}


def needed(name: str, extras: frozenset[str] = frozenset(), seen: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return all that is installed because of a distribution, with the versions."""
    found: dict[str, str] = {}
    for text in importlib.metadata.requires(name) or []:
        requirement = Requirement(text)
        wanted = any(requirement.marker.evaluate({"extra": extra}) for extra in extras | {""}) if requirement.marker else True
        key = canonicalize_name(requirement.name)
        if not wanted or (key in seen and not requirement.extras):
            continue
        found[key] = importlib.metadata.version(key)
        found |= needed(key, frozenset(requirement.extras), seen | {key})
    return found


def test_everything_that_is_installed_for_us_has_its_exact_version() -> None:
    installed = needed("outreach", frozenset({"dev"}))
    assert len(installed) > 60
    assert {name: PINS.get(name) for name in installed} == installed


def test_what_builds_a_wheel_has_its_exact_version_too() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for text in project["build-system"]["requires"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(PINS[canonicalize_name(requirement.name)])


def test_make_has_a_target_for_each_habit() -> None:
    for target in ("demo", "test", "test-all", "lint", "chaos", "bench", "docs", "messages", "clean"):
        answer = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr


def test_the_licence_is_apache_2() -> None:
    lines = (ROOT / "LICENSE").read_text("ascii").splitlines()
    assert [line.strip() for line in lines if line.strip()][:2] == ["Apache License", "Version 2.0, January 2004"]
    assert "END OF TERMS AND CONDITIONS" in "\n".join(lines)


def test_the_build_is_a_script_that_stops_at_the_first_fault() -> None:
    path = ROOT / ".ci" / "run"
    assert path.stat().st_mode & 0o111
    assert "set -euo pipefail" in path.read_text("utf-8")
    assert subprocess.run(["bash", "-n", str(path)], check=False).returncode == 0

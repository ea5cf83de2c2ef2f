"""One thing wrong with a template, as all the checks tell it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from outreach.rendering.templates import MessageTemplate

REFUSE, WARN = "refuse", "warn"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a template: what (`id`), whether it stops a plan (`severity`), and the data of its sentence."""

    id: str
    severity: str
    data: Mapping[str, Any]

    @property
    def refuses(self) -> bool:
        """Whether nothing may be sent while this stands."""
        return self.severity == REFUSE


def problem_of(id: str, template: MessageTemplate, severity: str = REFUSE, **data: Any) -> Problem:
    """Return a problem of this template; its sentence names the file."""
    return Problem(id, severity, {"file": template.file, **data})


def once(found: list[Problem]) -> list[Problem]:
    """Return each kind of problem once, and of those that concern a field or a key, once for each."""
    first: dict[tuple[str, object], Problem] = {}
    for problem in found:
        first.setdefault((problem.id, problem.data.get("field")), problem)
    return list(first.values())

"""The house stands as its ladder says: each import, at any depth, goes down; no circles; modules and functions of a readable size."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import outreach

ROOT = Path(outreach.__file__).parent
GENERATED = "outreach.database.migrations.versions"
LONGEST_MODULE = 500
LONGEST_FUNCTION = 60
SANDBOX_MAY = {"sandbox", "settings", "errors"}


@dataclass(frozen=True)
class Import:
    """One import: in which module and line, and of which module."""

    module: str
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


def ladder(text: str) -> dict[str, int]:
    """Return the height of each package: the lines of one word or several, indented by four, lowest 0; `python -m` is the door above all."""
    lines = [line.split() for line in text.splitlines() if re.fullmatch(r" {4}[a-z0-9_]+( +[a-z0-9_]+)*", line)]
    return {name: height for height, names in enumerate(reversed(lines)) for name in names} | {"__main__": len(lines)}


class House:
    """All modules of a package on disk, and what each imports of it: statements at any depth, and names of modules in strings."""

    def __init__(self, root: Path) -> None:
        self.name = root.name
        self.paths = {self._dotted(path, root): path for path in sorted(root.rglob("*.py"))}
        self.trees = {name: ast.parse(path.read_text("utf-8"), str(path)) for name, path in self.paths.items()}
        self.imports = [found for name, tree in self.trees.items() for found in self._imports(name, tree)]

    def package(self, module: str) -> str:
        """Return the name that the ladder knows: `outbox` for outreach.outbox.claim, empty for outreach itself."""
        return [*module.split("."), ""][1]

    @staticmethod
    def _dotted(path: Path, root: Path) -> str:
        parts = (root.name, *path.relative_to(root).with_suffix("").parts)
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def _imports(self, module: str, tree: ast.Module) -> Iterator[Import]:
        for node in ast.walk(tree):
            for name in self._named(node):
                target = self._module(name)
                if target is not None and target != module:
                    yield Import(module, node.lineno, target)  # type: ignore[attr-defined]

    def _named(self, node: ast.AST) -> list[str]:
        match node:
            case ast.Import():
                return [alias.name for alias in node.names]
            case ast.ImportFrom(level=0):
                return [f"{node.module}.{alias.name}" for alias in node.names]
            case ast.ImportFrom():
                raise AssertionError(f"a relative import in line {node.lineno}")
            case ast.Constant(value=str() as text) if re.fullmatch(rf"{self.name}(\.\w+)+(:\w+)?", text):
                return [text.replace(":", ".")]
        return []

    def _module(self, name: str) -> str | None:
        """Return the module that a dotted name means: itself, or the one that holds it; none if it is not of this house."""
        parts = name.split(".")
        if parts[0] != self.name:
            return None
        names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        return next((candidate for candidate in names if candidate in self.paths), None)

    def out_of_order(self, heights: dict[str, int]) -> list[str]:
        """Return each import across packages that does not go down."""
        crossing = [found for found in self.imports if self.package(found.module) != self.package(found.target) and self.package(found.target)]
        return [str(found) for found in crossing if heights.get(self.package(found.module), 0) <= heights.get(self.package(found.target), 0)]

    def circle(self) -> list[str]:
        """Return one circle of modules, empty if there is none."""
        graph: dict[str, set[str]] = {name: set() for name in self.paths}
        for found in self.imports:
            graph[found.module].add(found.target)
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            return list(error.args[1])
        return []

    def too_long(self) -> list[str]:
        """Return modules and functions that nobody takes in at one look; what Alembic wrote is not meant for that."""
        written = {name: tree for name, tree in self.trees.items() if not name.startswith(GENERATED)}
        lengths = {name: len(self.paths[name].read_text("utf-8").splitlines()) for name in written}
        modules = [f"{name}: {length} lines" for name, length in lengths.items() if length > LONGEST_MODULE]
        functions = [
            f"{name}.{node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
            for name, tree in written.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
        ]
        return modules + functions

    def silent(self) -> list[str]:
        """Return the modules that do not say what they are for."""
        return [name for name, tree in self.trees.items() if not name.startswith(GENERATED) and not ast.get_docstring(tree)]


@pytest.fixture(scope="module")
def house() -> House:
    return House(ROOT)


@pytest.fixture(scope="module")
def heights() -> dict[str, int]:
    return ladder(outreach.__doc__ or "")


def test_every_package_stands_on_the_ladder(house: House, heights: dict[str, int]) -> None:
    assert heights["errors"] == 0
    assert heights["cli"] > heights["web"] > heights["worker"] == heights["sandbox"] > heights["settings"]
    assert {house.package(name) for name in house.paths} - {""} <= set(heights)


def test_an_import_goes_down_the_ladder(house: House, heights: dict[str, int]) -> None:
    assert len(house.imports) > 20
    assert house.out_of_order(heights) == []


def test_no_modules_import_each_other_in_a_circle(house: House) -> None:
    assert house.circle() == []


def test_the_sandbox_knows_of_the_product_only_its_settings(house: House) -> None:
    found = [str(found) for found in house.imports if house.package(found.module) == "sandbox" and house.package(found.target) not in SANDBOX_MAY]
    assert found == []


def test_modules_and_functions_can_be_taken_in_at_one_look(house: House) -> None:
    assert house.too_long() == []


def test_every_module_says_what_it_is_for(house: House) -> None:
    assert house.silent() == []


def test_a_house_out_of_order_is_found_out(tmp_path: Path) -> None:
    root = tmp_path / "outreach"
    files = {
        "__init__.py": '"""The house.\n\n    roof\n    left  right\n    floor\n"""',
        "roof.py": '"""Up."""\nfrom outreach.left import anything\nimport outreach.floor',
        "left/__init__.py": '"""Left."""\nanything = 1',
        "left/a.py": "def late():\n    from outreach import roof",
        "left/b.py": '"""B."""\nif True:\n    import outreach.left.c',
        "left/c.py": '"""C."""\nfrom outreach.left.b import name\nWHERE = "outreach.right:name"',
        "right.py": '"""Right."""\ndef long():\n' + "    pass\n" * 60,
        "floor.py": '"""Low."""\n' + "\n" * 500,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    house = House(root)
    heights = ladder(ast.get_docstring(house.trees["outreach"], clean=False) or "")
    assert heights == {"__main__": 3, "roof": 2, "left": 1, "right": 1, "floor": 0}
    assert house.out_of_order(heights) == ["outreach.left.a:2 imports outreach.roof", "outreach.left.c:3 imports outreach.right"]
    assert set(house.circle()) == {"outreach.left.b", "outreach.left.c"}
    assert house.too_long() == ["outreach.floor: 501 lines", "outreach.right.long: 61 lines"]
    assert house.silent() == ["outreach.left.a"]

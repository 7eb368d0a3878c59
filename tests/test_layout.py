"""The house: what is packaged, who may import whom, and where torch may stand."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = ["cli", "engine", "server", "solvers", "storage", "testing"]
MAY_IMPORT = {
    "cli": {"engine", "server", "storage"},
    "engine": {"solvers", "storage"},
    "server": {"engine", "storage"},
    "solvers": set(),
    "storage": set(),
    "testing": {"engine", "solvers", "storage"},
}
SOURCES = [f for room in ROOMS for f in sorted((ROOT / room).rglob("*.py"))]


def name_of(file: Path) -> str:
    return str(file.relative_to(ROOT))


def imported(file: Path) -> set[tuple[str, ...]]:
    """Return what a file imports: paths from the root for its siblings, dotted names for the rest."""
    found: set[tuple[str, ...]] = set()
    base = file.parent.relative_to(ROOT).parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            place = ("trackdb", *base[: len(base) - node.level + 1])
            names = [node.module] if node.module else [alias.name for alias in node.names]
            found |= {(*place, *name.split(".")) for name in names}
        elif isinstance(node, ast.ImportFrom):
            found.add(tuple((node.module or "").split(".")))
        elif isinstance(node, ast.Import):
            found |= {tuple(alias.name.split(".")) for alias in node.names}
    return found


def test_every_folder_of_code_is_packaged():
    packaged = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {p.parent.relative_to(ROOT) for room in ROOMS for p in (ROOT / room).rglob("*.py")}
    assert packaged == {"trackdb"} | {"trackdb." + ".".join(f.parts) for f in folders}
    assert all((ROOT / f / "__init__.py").exists() for f in folders)


def test_only_the_face_and_the_errors_stand_in_the_root():
    assert {f.name for f in ROOT.glob("*.py")} == {"__init__.py", "errors.py"}


@pytest.mark.parametrize("file", SOURCES, ids=name_of)
def test_imports_flow_downward(file):
    room = file.relative_to(ROOT).parts[0]
    rooms = {path[1] for path in imported(file) if path[0] == "trackdb" and len(path) > 1} & set(ROOMS)
    assert rooms - {room} <= MAY_IMPORT[room]


@pytest.mark.parametrize("file", SOURCES, ids=name_of)
def test_torch_stays_in_the_models_and_in_training(file):
    if not name_of(file).startswith(("engine/models", "engine/training", "engine/scorers", "engine/detectors")):
        assert "torch" not in {path[0] for path in imported(file)}


@pytest.mark.parametrize("file", [f for f in SOURCES if "metrics" in f.parts], ids=name_of)
def test_metrics_know_only_the_tables_of_storage(file):
    ours = {path[1:] for path in imported(file) if path[0] == "trackdb" and path[1] != "engine"}
    assert ours <= {("storage", "schema"), ("errors",)}

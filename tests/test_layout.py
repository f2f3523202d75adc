"""The house: who imports whom, without circles; what stands in a room; what the light rooms load."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("harness", "models", "analysis")
OUTSIDE = {
    "harness": {
        "__init__",
        "__main__",
        "columns",
        "errors",
        "interruption",
        "metrics",
        "paths",
        "progress",
        "progress_screen",
        "proxies",
    },
    "analysis": {"__init__", "errors", "figure_names", "files", "metrics", "wording", "yaml12"},
}
"""Files of a package that stand in no room, since every room uses them."""

LIGHT = ("study", "search", "ledger", "storage", "datasets", "plugins")
"""Rooms of the harness that load neither torch nor Ray."""

Graph = dict[str, set[str]]


@cache
def read_imports(root: Path = ROOT) -> Graph:
    """Every module of the packages under `root`, and which of them it imports: at the top, late, or for types alone."""
    files = {name_of(path, root): path for package in PACKAGES for path in (root / package).rglob("*.py")}
    graph: Graph = {}
    for module, path in files.items():
        imported: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                # `from a import b` is of the module a.b where there is one.
                imported |= {name if (name := f"{node.module}.{a.name}") in files else node.module for a in node.names}
        graph[module] = (imported & set(files)) - {module}
    return graph


def name_of(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def join_rooms(graph: Graph) -> Graph:
    """The same between rooms: folders of a package; a file outside every room is one of its own."""
    rooms: Graph = {}
    for module, imported in graph.items():
        own = room_of(module)
        rooms.setdefault(own, set()).update({room_of(other) for other in imported} - {own})
    return rooms


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def find_circle(graph: Graph) -> set[str]:
    """The nodes of a circle, if there is one."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return set(error.args[1])
    return set()


def test_no_module_and_no_room_imports_itself_in_a_circle() -> None:
    graph = read_imports()
    assert len(graph) > 150
    assert find_circle(graph) == set()
    assert find_circle(join_rooms(graph)) == set()


def test_circles_are_found(tmp_path: Path) -> None:
    texts = {
        "harness/a/one.py": "from harness.b.two import X\n",
        "harness/b/two.py": "def f():\n    from harness.b import three\n",
        "harness/b/three.py": "if TYPE_CHECKING:\n    import harness.b.two\n",
        "harness/b/four.py": "from harness.a import one\n",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    graph = read_imports(tmp_path)
    assert find_circle(graph) == {"harness.b.two", "harness.b.three"}
    assert find_circle(join_rooms(graph)) == {"harness.a", "harness.b"}


@pytest.mark.parametrize("package", OUTSIDE)
def test_every_file_stands_in_a_room(package: str) -> None:
    assert {path.stem for path in (ROOT / package).glob("*.py")} == OUTSIDE[package]


def test_every_room_says_what_it_is_for() -> None:
    for folder in rooms():
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(text)), folder


def test_harness_names_no_model() -> None:
    """Settings say which models they belong to; an example of a command may name a study."""
    for path in (ROOT / "harness").rglob("*.py"):
        text = re.sub(r"`spikeslab [^`]*`", "", path.read_text(encoding="utf-8"))
        assert not re.search(r"\b(vae|vsc)\b", text, re.IGNORECASE), path


def rooms() -> Iterable[Path]:
    return [file.parent for package in PACKAGES for file in (ROOT / package).rglob("__init__.py")]


def test_the_light_rooms_load_neither_torch_nor_ray() -> None:
    """The driver and up to 128 light processes import them. Here one process does, and names the first that fails."""
    program = "import importlib, sys\n"
    for room in LIGHT:
        modules = [module for module in read_imports() if f"{module}.".startswith(f"harness.{room}.")]
        assert len(modules) > 1
        program += f"for m in {modules}: importlib.import_module(m)\n"
        program += f"print({room!r}, sorted({{'torch', 'ray'}} & set(sys.modules)))\n"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout.splitlines() == [f"{room} []" for room in LIGHT], done.stderr

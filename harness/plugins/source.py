"""The source of a plug-in: found beside a study file or among the installed modules, read, and hashed."""

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.errors import InputError

OWN = ("harness", "models", "analysis")
"""Our packages."""

MAX_BYTES = 4_000_000
"""A plug-in is shipped to every process that trains: what is larger is a library."""

STORED = ("resolved.json", "trials.parquet")
"""Files that only a study's folder of results has: no code is taken from there."""


@dataclass(frozen=True)
class Plugin:
    """The source of a plug-in, by which it is known."""

    name: str  # of its module, as in study files
    files: tuple[tuple[str, bytes], ...]  # path below the folder that holds the module, and content; sorted
    origin: str  # where it was found, for messages
    folder: str = ""  # the absolute path of the folder that holds the module, on the machine that read it

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the names and contents of its files."""
        digest = hashlib.sha256()
        for path, content in self.files:
            digest.update(f"{path}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()


def find_plugin(name: str, study_file: Path, line: int | None = None, *, is_stored: bool = False) -> Plugin:
    """Find a plug-in beside a study file (of a stored study: in the current folder or ./studies), or as a module.

    Nothing is executed, and nothing in a folder of results is found. line: of the file that names it, for messages.
    is_stored: the file is known to be of a stored study, whatever lies beside it.

    Raises:
        InputError: it is not there, cannot be read, or its name is that of another module.
    """
    place = f"{study_file}:{line}: plugins" if line else f"{study_file}: plugins"
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        hint = f"write {name.removesuffix('.py')}, without .py" if name.endswith(".py") else "name a module"
        raise InputError(f"{place}: {name!r} is not the name of a module; {hint}")
    if name in sys.stdlib_module_names or name in OWN:
        raise InputError(f"{place}: {name} is a module of Python's or of spikeslab's; rename yours")
    folders = [Path(), Path("studies")] if is_stored or is_of_results(study_file.parent) else [study_file.parent]
    for folder in folders:
        for path in (folder / f"{name}.py", folder / name / "__init__.py"):
            if path.is_file():
                plugin = _read(name, path, place)
                _refuse_helpers(plugin, folder)
                return plugin
    installed = _find_installed(name)
    if installed is not None:
        return _read(name, installed, place)
    where = " or ".join(str(folder / f"{name}.py") for folder in folders)
    raise InputError(
        f"{place}: there is no {where}, nor an installed module {name}; put it there, or give the path "
        "of the study's own file"
    )


def _find_installed(name: str) -> Path | None:
    """Find the file of a module that Python would import, without importing it."""
    finders = [finder for finder in sys.meta_path if not hasattr(finder, "serve_plugins")]
    specs = (finder.find_spec(name, None) for finder in finders if hasattr(finder, "find_spec"))
    spec = next((spec for spec in specs if spec is not None), None)
    path = Path(spec.origin) if spec is not None and spec.origin else None
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


def _read(name: str, path: Path, place: str) -> Plugin:
    """Read a module's file or, of a package, every Python file in its folder."""
    if is_of_results(path.parent):
        raise InputError(f"{place}: {path} lies among results, whose code is never run; move it elsewhere")
    folder = path.parent.parent if path.name == "__init__.py" else path.parent
    paths = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    try:
        files = tuple((found.relative_to(folder).as_posix(), found.read_bytes()) for found in paths)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}); see to its permissions") from None
    if sum(len(content) for _, content in files) > MAX_BYTES:
        raise InputError(f"{place}: {name} ({path}) is a library, no plug-in; name a module of your own")
    return Plugin(name, files, str(path), str(folder.absolute()))


def _refuse_helpers(plugin: Plugin, folder: Path) -> None:
    """Refuse imports of other modules in its folder, which are not shipped with it, and would change unseen."""
    for file, content in plugin.files:
        for module, line in _list_imports(content):
            is_beside = (folder / f"{module}.py").is_file() or any((folder / module).glob("*.py"))
            if is_beside and module not in (plugin.name, *OWN) and module not in sys.stdlib_module_names:
                raise InputError(
                    f"{folder / file}:{line}: {module} lies beside {plugin.name}, but is no part of it and would not "
                    f"reach workers; make {plugin.name} a package, a folder with __init__.py, that holds both"
                )


def _list_imports(content: bytes) -> Iterator[tuple[str, int]]:
    """The modules, without what is inside them, that a source imports, each with its line."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # said where it is imported
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0], node.lineno


def is_of_results(folder: Path) -> bool:
    """Whether a folder, or one that it lies in, holds the results of a study."""
    here = folder.resolve()
    return any((above / name).exists() for above in (here, *here.parents) for name in STORED)

"""Use plug-ins: import them from their source, the same in every process, and install what they register."""

import importlib
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path, PurePosixPath
from types import CodeType, ModuleType

from harness.datasets import install_datasets
from harness.errors import InputError, first_line
from harness.plugins.registry import Registered, Registry
from harness.plugins.source import Plugin
from models.additions import Additions, install

_Key = tuple[tuple[str, str], ...]
"""The SHA-256 of each plug-in, and its folder: a copy elsewhere may find other files beside it."""

_NONE = Registered(Additions(), {})
_in_use: tuple[Plugin, ...] = ()
_registered: dict[_Key, Registered] = {}


def use_plugins(plugins: Sequence[Plugin]) -> None:
    """Make these the plug-ins of this process, in the place of those before. What they hold is executed once.

    Raises:
        InputError: one of them cannot be imported, or what it registers is not legal.
    """
    global _in_use  # noqa: PLW0603 (a process trains with one set of plug-ins at a time)
    key = _key(plugins)
    if key == _key(_in_use):
        return
    _finder.serve_plugins(plugins)
    try:
        if key not in _registered:
            _registered[key] = _register(plugins)
    except InputError:
        _finder.serve_plugins(_in_use)
        raise
    registered = _registered[key] if plugins else _NONE
    install(registered.additions)
    install_datasets(registered.datasets)
    _in_use = tuple(plugins)


def _key(plugins: Sequence[Plugin]) -> _Key:
    return tuple((plugin.sha256, plugin.folder) for plugin in plugins)


def _register(plugins: Sequence[Plugin]) -> Registered:
    registry = Registry()
    for plugin in plugins:
        try:
            module = importlib.import_module(plugin.name)
            if callable(register := getattr(module, "register", None)):
                registry.collect(register, plugin.sha256)
                continue
        except Exception as error:
            raise InputError(f"{_place(error, plugin)}: {type(error).__name__}: {first_line(error)}; mend it") from None
        raise InputError(f"{plugin.origin}: it has no function register(registry); see docs/plugin-example")
    return registry.finish()


def _place(error: Exception, plugin: Plugin) -> str:
    """The plug-in's last line that led to an error, as a file and a number."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f"{plugin.origin}:{error.lineno}"
    own = {_name_file(plugin, path) for path, _ in plugin.files}
    lines = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)]
    return next((line for line in reversed(lines) if line.rpartition(":")[0] in own), plugin.origin)


def _name_file(plugin: Plugin, path: str) -> str:
    """What tracebacks call a file of a plug-in: where it was read."""
    folder = PurePosixPath(plugin.origin).parent
    return str((folder.parent if len(PurePosixPath(path).parts) > 1 else folder) / path)


class _Finder(MetaPathFinder):
    """Finds the modules of plug-ins in their source, before any other of the same name."""

    def __init__(self) -> None:
        self._sources: dict[str, tuple[Plugin, str, bytes]] = {}  # by module

    def serve_plugins(self, plugins: Sequence[Plugin]) -> None:
        """Find these from now on; the modules of one that has changed, or lies elsewhere, are all imported anew."""
        sources = {_name_module(path): (plugin, path, content) for plugin in plugins for path, content in plugin.files}
        tops = dict(zip((plugin.name for plugin in plugins), _key(plugins), strict=True))
        for name in list(sys.modules):
            top = name.partition(".")[0]
            if top in tops and _find_key(sys.modules[name]) != tops[top]:
                del sys.modules[name]
        self._sources = sources
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """The spec of a plug-in's module."""
        found = self._sources.get(fullname)
        if found is None:
            return None
        plugin, file, content = found
        loader = _Loader(content, _name_file(plugin, file), file.endswith("__init__.py"), *_key([plugin]))
        spec = spec_from_loader(fullname, loader, origin=str(Path(plugin.folder, file)))
        if spec is not None:
            spec.has_location = True  # the module gets __file__, by which it may find data beside it
        return spec


class _Loader(InspectLoader):
    """Runs the source of one module."""

    def __init__(self, content: bytes, filename: str, is_package: bool, key: tuple[str, str]) -> None:
        """key: of the plug-in that the module is part of."""
        self.content, self.filename, self._is_package, self.key = content, filename, is_package, key

    def is_package(self, fullname: str) -> bool:  # noqa: ARG002
        """Whether the module is a package."""
        return self._is_package

    def get_source(self, fullname: str) -> str:  # noqa: ARG002
        """The module's text."""
        return importlib.util.decode_source(self.content)

    def get_code(self, fullname: str) -> CodeType:  # noqa: ARG002
        """The module's code, whose tracebacks name its file."""
        code: CodeType = compile(self.content, self.filename, "exec", dont_inherit=True)
        return code


def _name_module(path: str) -> str:
    return ".".join(PurePosixPath(path).with_suffix("").parts).removesuffix(".__init__")


def _find_key(module: ModuleType) -> tuple[str, str] | None:
    """The key of the plug-in that a module is part of, if it is of any."""
    loader = getattr(getattr(module, "__spec__", None), "loader", None)
    return loader.key if isinstance(loader, _Loader) else None


_finder = _Finder()


def list_datasets_in_use() -> list[str]:
    """The names of the datasets that the plug-ins of this process have registered."""
    return list(_registered[_key(_in_use)].datasets) if _in_use else []


def describe_plugins(plugins: Sequence[Plugin]) -> Mapping[str, str]:
    """The plug-ins by name, each with its SHA-256, as provenance and MLflow's tags have them."""
    return {f"plugin.{plugin.name}.sha256": plugin.sha256 for plugin in plugins}

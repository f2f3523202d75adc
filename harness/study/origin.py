"""Where the fields of a study were written: the lines of its file, and what `--set` changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.study.yamlfile import FieldPath, find_line


@dataclass(frozen=True)
class Origin:
    """The file that a study was read from."""

    path: Path
    lines: Mapping[FieldPath, int]
    overridden: Mapping[FieldPath, str]  # the --set that changed a field
    command: tuple[str, ...] = ()  # of `notify`, where the file lies among results: it is not run

    def locate(self, field: FieldPath) -> str:
        """Say where a field stands: the --set that gave it, or the file with its line."""
        for parts, override in self.overridden.items():
            if field[: len(parts)] == parts[: len(field)]:
                return f"--set {override}"
        line = find_line(self.lines, field)
        return f"{self.path}{f':{line}' if line else ''}"

    def locate_name(self, name: str) -> str:
        """Say where a field of the study, or a setting, stands; the file alone where a setting stands in several."""
        default = ("defaults", name)
        given = {field for field in (*self.overridden, *self.lines) if field[-1] == name and field[0] == "space"}
        if default in self.overridden or (not given and default in self.lines):
            return self.locate(default)
        for whole in (("space",), ("defaults",)):
            if whole in self.overridden and not given:
                return self.locate(whole)
        if given:
            return self.locate(given.pop()) if len(given) == 1 and default not in self.lines else str(self.path)
        return self.locate((name,))

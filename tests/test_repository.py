"""The files that hold the project together: Makefile, constraints.txt, and what no file may contain."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")

# Put together here, so that this file does not contain them.
REGISTRY_HOSTS = tuple(
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("download", "pytorch", "org"),
        ("anaconda", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("deb", "debian", "org"),
        ("ftp", "debian", "org"),
        ("archive", "ubuntu", "com"),
        ("crates", "io"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
    ]
)


def registry_hosts_in(text: str) -> list[str]:
    return [host for host in REGISTRY_HOSTS if re.search(rf"(?<![\w-]){re.escape(host)}(?![\w-])", text)]


def project_files() -> list[Path]:
    """Tracked and new files, not the ignored ones."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def test_no_file_names_a_package_registry() -> None:
    found = {
        str(path.relative_to(ROOT)): hosts
        for path in project_files()
        if (hosts := registry_hosts_in(path.read_bytes().decode("utf-8", errors="replace")))
    }
    assert found == {}


@pytest.mark.parametrize("host", REGISTRY_HOSTS)
def test_a_registry_would_be_found(host: str) -> None:
    assert registry_hosts_in(f"--index-url https://{host}/simple") == [host]
    assert registry_hosts_in(f"--index-url https://files.{host}/simple") == [host]
    assert registry_hosts_in(f"my{host}, {host}anisation") == []


def test_the_files_searched_are_those_of_the_project() -> None:
    names = {str(path.relative_to(ROOT)) for path in project_files()}
    assert {"pyproject.toml", "constraints.txt", "cluster.yaml", "tests/test_repository.py"} <= names
    assert not any(name.startswith((".venv/", ".git/")) for name in names)


# constraints.txt

INSTALLERS = {"pip", "setuptools", "wheel"}  # come with the environment


def pins() -> dict[str, str]:
    lines = [line for line in CONSTRAINTS.splitlines() if line and not line.startswith("#")]
    matches = [re.fullmatch(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([0-9][A-Za-z0-9.!+]*)", line) for line in lines]
    assert None not in matches, f"not an exact version: {lines[matches.index(None)]}"
    return {canonicalize_name(match[1]): match[2] for match in matches if match}


def direct_requirements() -> list[Requirement]:
    project = PYPROJECT["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(text) for requirements in lists for text in requirements]


def all_requirements() -> dict[str, Requirement]:
    """What comes along with the direct ones, on the platform that constraints.txt was made on."""
    platform = {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "python_version": "3.11",
        "python_full_version": "3.11.7",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    found: dict[str, Requirement] = {}
    seen: set[str] = set()
    queue = direct_requirements()
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        found[name] = requirement
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:  # not needed on this platform, so unknown here
            continue
        for extra in {"", *requirement.extras}:
            queue += [
                need
                for need in map(Requirement, needs)
                if need.marker is None or need.marker.evaluate(platform | {"extra": extra})
            ]
    return found


def test_constraints_pin_every_dependency_and_extra_within_its_bounds() -> None:
    versions = pins()
    requirements = direct_requirements()
    assert len(requirements) > 10
    wrong = [
        str(need)
        for need in requirements
        if not need.specifier.contains(versions.get(canonicalize_name(need.name), "0"))
    ]
    assert wrong == [], "add the package to .venv, then: make constraints"


def test_constraints_pin_what_the_dependencies_need() -> None:
    needed = all_requirements()
    assert len(needed) > 100
    assert sorted(needed.keys() - pins().keys() - INSTALLERS) == []


def test_constraints_leave_out_the_project_and_what_installs_it() -> None:
    assert pins().keys().isdisjoint({"spikeslab", *INSTALLERS})


# Makefile, with a stand-in for Python that records how it was called

STAND_IN = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
  "-m venv --clear .venv")
    rm -rf .venv && mkdir -p .venv/bin && cp "$STAND_IN" .venv/bin/python
    test -z "$CUT_SHORT" || exit 1
    cp "$STAND_IN" .venv/bin/pip && printf '#!/bin/sh\\necho "spikeslab $*"\\n' > .venv/bin/spikeslab
    chmod +x .venv/bin/spikeslab ;;
  "-m venv --clear --without-pip .venv") exit 1 ;;
  "-m pip install "*) exit "${PIP_EXIT:-0}" ;;
  "-c import sys;"*) exec "$REAL_PYTHON" "$@" ;;
esac
"""
INSTALL = "-m pip install --quiet --disable-pip-version-check -c constraints.txt -e "


class Clone:
    """A fresh clone as far as make can see, where installing takes no time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls_file = folder.parent / "calls"
        self.stand_in = folder.parent / "python"
        self.stand_in.write_text(STAND_IN)
        self.stand_in.chmod(0o755)
        folder.mkdir()
        for name in ("Makefile", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, folder)
        for name in ("harness", "models", "analysis", "tests"):
            (folder / name / "__pycache__").mkdir(parents=True)

    def make(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.calls_file.write_text("")
        variables = {
            "PATH": os.environ["PATH"],
            "CALLS": str(self.calls_file),
            "STAND_IN": str(self.stand_in),
            "REAL_PYTHON": sys.executable,
            "PYTHON": str(self.stand_in),
        }
        return subprocess.run(
            ["make", "--no-print-directory", *arguments],
            cwd=self.folder,
            env=variables | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def pip_calls(self) -> list[str]:
        return [call for call in self.calls_file.read_text().splitlines() if "pip" in call and "venv" not in call]

    def stamps(self) -> set[str]:
        return {path.name for path in self.folder.glob(".venv/.installed*")}


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path / "clone")


def test_make_study_sets_up_once_and_then_only_runs_the_study(clone: Clone) -> None:
    first = clone.make("study")
    assert (first.returncode, first.stderr) == (0, "")
    assert clone.pip_calls() == [INSTALL + "."]
    assert first.stdout.splitlines()[0] == "Making an environment in .venv."
    assert "3 minutes and 6 GB" in first.stdout

    again = clone.make("study")
    assert again.returncode == 0
    assert clone.calls_file.read_text() == ""
    assert again.stdout.splitlines()[-1] == "spikeslab run studies/quickstart.yaml"


def test_the_tools_for_tests_are_added_once_and_study_needs_nothing_after_them(clone: Clone) -> None:
    clone.make("study")
    assert clone.make(".venv/.installed-dev").returncode == 0
    assert clone.pip_calls() == [INSTALL + ".[dev,faces]"]
    assert clone.make(".venv/.installed-dev", "study").returncode == 0
    assert clone.pip_calls() == []


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_dependencies_are_installed_into_the_same_environment(clone: Clone, name: str) -> None:
    clone.make("study")
    later = (clone.folder / ".venv/.installed").stat().st_mtime + 1
    os.utime(clone.folder / name, (later, later))
    assert clone.make("study").returncode == 0
    assert clone.pip_calls() == [INSTALL + "."]
    assert "venv --clear" not in clone.calls_file.read_text()


def test_an_install_that_fails_leaves_no_stamp_and_is_done_again(clone: Clone) -> None:
    assert clone.make("study", PIP_EXIT="1").returncode != 0
    assert clone.stamps() == set()
    assert clone.make("study").returncode == 0
    assert clone.pip_calls() == [INSTALL + "."]


def test_an_update_that_fails_takes_the_stamps_away(clone: Clone) -> None:
    clone.make(".venv/.installed-dev")
    assert clone.stamps() == {".installed", ".installed-dev"}
    later = (clone.folder / ".venv/.installed").stat().st_mtime + 1
    os.utime(clone.folder / "pyproject.toml", (later, later))
    assert clone.make("study", PIP_EXIT="1").returncode != 0
    assert clone.stamps() == set()


def test_an_environment_left_half_made_is_made_again(clone: Clone) -> None:
    assert clone.make("study", CUT_SHORT="yes").returncode != 0
    assert not (clone.folder / ".venv/bin/pip").exists()
    assert clone.make("study").returncode == 0
    assert "-m venv --clear .venv" in clone.calls_file.read_text()


def test_an_environment_whose_python_is_gone_is_made_again(clone: Clone) -> None:
    clone.make("study")
    (clone.folder / ".venv/bin/python").unlink()
    (clone.folder / ".venv/bin/python").symlink_to(clone.folder / "gone")
    assert clone.make("study").returncode == 0
    assert clone.pip_calls() == [INSTALL + "."]


def test_half_a_package_is_not_taken_for_a_whole_one(clone: Clone) -> None:
    clone.make("study")
    packages = clone.folder / ".venv/lib/python3.11/site-packages"
    for name in ("half-1.0.dist-info", "whole-1.0.dist-info"):
        (packages / name).mkdir(parents=True)
        (packages / name / "METADATA").touch()
    (packages / "whole-1.0.dist-info/INSTALLER").touch()
    later = (clone.folder / ".venv/.installed").stat().st_mtime + 1
    os.utime(clone.folder / "pyproject.toml", (later, later))
    clone.make("study")
    assert [path.name for path in packages.iterdir()] == ["whole-1.0.dist-info"]


def test_a_python_that_is_too_old_is_refused_in_one_sentence(clone: Clone) -> None:
    old = clone.stand_in.with_name("old-python")
    old.write_text('#!/bin/sh\nexec "$REAL_PYTHON" -c "import sys; sys.version_info = (3, 10, 2); $2"\n')
    old.chmod(0o755)
    result = clone.make("study", PYTHON=str(old))
    assert result.returncode != 0
    sentence, of_make = result.stderr.splitlines()
    assert re.fullmatch(r"spikeslab cannot run on .*, which is Python 3\.10: name a Python 3\.11 .*\.", sentence)
    assert of_make.startswith("make: ***")
    assert not (clone.folder / ".venv").exists()


def test_a_python_that_is_not_there_is_refused_in_one_sentence(clone: Clone) -> None:
    result = clone.make("study", PYTHON="python-of-nowhere")
    assert result.returncode != 0
    sentence, of_make = result.stderr.splitlines()
    assert sentence.startswith("There is no python-of-nowhere here: name a Python 3.11")
    assert of_make.startswith("make: ***")


def test_make_clean_removes_the_environment_results_and_caches_and_nothing_else(clone: Clone) -> None:
    clone.make("study")
    for name in ("results", ".ruff_cache", "data", "studies"):
        (clone.folder / name).mkdir()
    assert clone.make("clean").returncode == 0
    left = {str(path.relative_to(clone.folder)) for path in clone.folder.rglob("*")}
    folders = {"harness", "models", "analysis", "tests", "data", "studies"}
    assert left == folders | {"Makefile", "pyproject.toml", "constraints.txt"}


def phony_targets() -> list[str]:
    line = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert line is not None
    return line[1].split()


@pytest.mark.parametrize("target", phony_targets())
def test_every_target_can_be_run(clone: Clone, target: str) -> None:
    result = clone.make("-n", target)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout


def test_help_lists_every_target_in_one_line_and_is_what_a_bare_make_does(clone: Clone) -> None:
    listed = clone.make("help").stdout.splitlines()
    assert [line.split()[1] for line in listed] == phony_targets()
    assert all(len(line.split()) > 3 for line in listed)
    assert clone.make().stdout.splitlines() == listed
    assert sorted(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE)) == sorted(phony_targets())


def test_ci_runs_make_test_on_the_shared_data_if_there_are_any(tmp_path: Path) -> None:
    clone, data, tools = tmp_path / "clone", tmp_path / "shared/data", tmp_path / "tools"
    for folder in (clone / ".ci", tools):
        folder.mkdir(parents=True)
    shutil.copy(ROOT / ".ci/run", clone / ".ci/run")
    (tools / "make").write_text('#!/bin/sh\necho "$(pwd) $* ${SPIKESLAB_DATA-unset}"\nexit 3\n')
    (tools / "make").chmod(0o755)

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        variables = {"PATH": f"{tools}:{os.environ['PATH']}", **environment}
        return subprocess.run(
            [clone / ".ci/run"], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
        )

    assert run().stdout == f"{clone} test unset\n"
    data.mkdir(parents=True)
    assert run().stdout == f"{clone} test {data}\n"
    assert run(SPIKESLAB_DATA="/elsewhere").stdout == f"{clone} test /elsewhere\n"
    assert run().returncode == 3


def test_what_a_killed_publish_leaves_is_no_change_of_the_checkout() -> None:
    """Else the next one would ask for a commit of half a copy."""
    left = [
        "studies/published/.quickstart-1a2b/quickstart/trials.parquet",
        "studies/published/unfinished/.a-1/study.yaml",
    ]
    done = subprocess.run(["git", "check-ignore", *left], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.split() == left

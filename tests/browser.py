"""A browser without a window, for tests of pages."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def browse(page: Path, profile: Path) -> subprocess.CompletedProcess[str]:
    """The page's elements after its script has run, and the browser's log."""
    quiet = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
    quiet += ("--disable-component-update", "--disable-sync", f"--user-data-dir={profile}")
    log = ("--enable-logging=stderr", "--v=0", "--virtual-time-budget=3000", "--dump-dom")
    command = [BROWSER, "--headless", *quiet, *log, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

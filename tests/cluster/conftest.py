"""A cluster on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from outside import Site, kill, processes

SCRIPT = Path(__file__).with_name("slurm.sh")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A test that fails leaves nothing running, which would keep the next one waiting."""
    site = Site(tmp_path)
    yield site
    for pid in processes(site.mark):
        with suppress(ProcessLookupError):
            kill(pid)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One that is here, if SLURM_CONF names it, or one that is started."""
    pytest.importorskip("submitit", reason="needs submitit: pip install priorbench[slurm]")
    if "SLURM_CONF" in os.environ:
        yield
        return
    if os.geteuid() or not (shutil.which("slurmctld") and shutil.which("munged")):
        pytest.skip("no Slurm: name one's configuration by SLURM_CONF, or as root `apt-get install slurm-wlm munge`")
    folder = tmp_path_factory.mktemp("slurm")
    ready = subprocess.run([SCRIPT, "start", folder], capture_output=True, text=True, timeout=60)
    try:
        if ready.returncode:
            pytest.skip(f"Slurm does not start here: {ready.stderr[-300:]}")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
            yield
    finally:
        subprocess.run([SCRIPT, "stop", folder], timeout=60)

"""The figures of a folder of tables, as files of the site."""

from __future__ import annotations

from pathlib import Path

from benchmarks.common.errors import UsageError
from benchmarks.report import pictures
from benchmarks.report.pictures import Pictures
from benchmarks.report.site import links
from benchmarks.report.site.given import Given


class Figures:
    """Reads figures, and keeps the content of each that a page shows by its file in the site."""

    def __init__(self, results: Path):
        self.results = results
        self.files: dict[str, bytes] = {}

    def of(self, table: Given, root: str, datasets: tuple[str, ...] | None = None) -> Pictures:
        """A table's, with addresses for a page whose way to the site's folder is `root`. datasets: on these alone, and
        on all at once."""

        def address(path: Path) -> str:
            file = links.picture(table.name, path.stem)
            self.files[file] = path.read_bytes()
            return links.href(file, root)

        every = tuple(map(str, table.frame["dataset"].unique()))
        folder = self.results / "figures" / table.name
        try:
            return pictures.read(folder, every if datasets is None else datasets, address)
        except (UsageError, OSError) as reason:
            raise UsageError(f"The figures in {folder} cannot be read: {reason}") from None

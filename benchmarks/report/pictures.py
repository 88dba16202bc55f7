"""A suite's drawn figures, to be put into a page."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.plots import gallery
from benchmarks.plots.base import PLOTS
from benchmarks.plots.gallery import Shown


@dataclass(frozen=True)
class Picture:
    """One figure with its address, which is its file's content or a path, and its size in pixels."""

    title: str
    caption: str
    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Pictures:
    """By data set, first those of all data sets at once (''). left_out: what could not be drawn, with the reason."""

    drawn: dict[str, list[Picture]]
    left_out: list[Shown]


def embedded(path: Path) -> str:
    """The file's content as an address."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def read(folder: Path, datasets: Sequence[str], address: Callable[[Path], str] = embedded) -> Pictures:
    """What lies in the folder, and nowhere else, for these data sets. address: what a page calls a file by."""
    found = Pictures({}, [])
    shown = [one for one in gallery.read(folder) if one.dataset in ("", *datasets)]
    for one in sorted(shown, key=lambda one: ("", *datasets).index(one.dataset)):
        path = folder / f"{one.file}.png"
        if one.file and path.parent == folder and path.is_file():
            found.drawn.setdefault(one.dataset, []).append(_picture(one, path, address(path)))
        else:
            found.left_out.append(Shown(one.plot, one.dataset, "", _reason(one)))
    return found


def _picture(one: Shown, path: Path, uri: str) -> Picture:
    what = PLOTS[one.plot].summary if one.plot in PLOTS else one.plot
    with Image.open(path) as image:
        width, height = image.size
    title = f"{what.rstrip('.')}, on {one.dataset or 'all data sets'}"
    return Picture(title, one.caption, uri, width, height)


def _reason(one: Shown) -> str:
    return f"the file {one.file}.png is missing" if one.file else one.caption

"""Writes scikit-learn's digits as an image folder: `python examples/digits_as_images.py FOLDER`.

600 PNG files of 8 x 8 grey pixels, FOLDER/0/... to FOLDER/9/..., so that the subfolders are the classes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image
from sklearn.datasets import load_digits

COUNT = 600


def main(folder: Path) -> None:
    digits = load_digits()
    for number in range(COUNT):
        path = folder / str(digits.target[number]) / f"{number:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[number] * 255 / 16).round().astype("uint8")).save(path)
    print(f"{folder}: {COUNT} images; priorbench run --suite examples/own-images.toml --dataset folder:{folder}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python examples/digits_as_images.py FOLDER")
    main(Path(sys.argv[1]))

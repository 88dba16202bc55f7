"""A look at every run: draws from the prior and reconstructions, as PNG."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.common.files import write_atomically
from benchmarks.common.seeds import seed_for
from benchmarks.datasets.vision import torchvision
from benchmarks.metrics import Evaluated
from priors.base import Unsupported

SIDE = 8
POINTS = 1000
WIDTH = 640


def save(folder: Path, evaluated: Evaluated) -> None:
    """samples.png: E[x|z] at z ~ p. reconstructions.png: test images over E[x|z] at one z ~ q(z|x).

    Images become grids of 8 x 8; two-dimensional data a scatter plot; other data have no picture. Of images there is
    posterior.png too: in the upper half the prior's draws with the lowest q(z), in the lower the codes with the lowest
    p(z) (pockets and leaks: dpVAE, section 4.1); none where a density is missing.
    """
    torch.manual_seed(seed_for(evaluated.seed, "pictures"))
    model, shape = evaluated.model, evaluated.data.shape
    if len(shape) == 3:
        write_grid(folder / "samples.png", model.decode(evaluated.prior.sample(SIDE * SIDE)))
        x, again = reconstructions(evaluated, SIDE * SIDE // 2)
        rows = torch.stack([part.reshape(-1, SIDE, *shape) for part in map(whole_rows, (x, again))], dim=1)
        write_grid(folder / "reconstructions.png", rows.reshape(-1, *shape))
        with suppress(Unsupported):
            write_grid(folder / "posterior.png", extremes(evaluated, SIDE * SIDE // 2))
    elif shape == (2,):
        x, again = reconstructions(evaluated, POINTS)
        drawn = model.likelihood.sample(model.parameters_of_x(evaluated.prior.sample(POINTS)))
        write_scatter(folder / "samples.png", {"test data": x, "samples": drawn})
        write_scatter(folder / "reconstructions.png", {"test data": x, "E[x|z], z ~ q(z|x)": again})


def reconstructions(evaluated: Evaluated, count: int) -> tuple[Tensor, Tensor]:
    """The first test images and E[x|z] at one z ~ q(z|x) each."""
    count = min(count, len(evaluated.data.test))
    return evaluated.data.test[:count], evaluated.model.decode(evaluated.q[:count].sample())


def extremes(evaluated: Evaluated, count: int) -> Tensor:
    """E[x|z] at the draws of the prior with the lowest ln q(z), and at the codes with the lowest ln p(z)."""
    low, high = evaluated.least_covered(POINTS, count), evaluated.least_likely(POINTS, count)
    return evaluated.model.decode(torch.cat([low, high]))


def whole_rows(images: Tensor) -> Tensor:
    """Images filled up with grey ones to a multiple of eight."""
    missing = -len(images) % SIDE
    return torch.cat([images, images.new_full((missing, *images.shape[1:]), 0.5)])


def write_grid(path: Path, images: Tensor) -> None:
    """Images (N, C, H, W) in [0, 1], eight a row, enlarged to a readable size."""
    from PIL import Image

    sheet = torchvision().utils.make_grid(images.cpu().clamp(0, 1), nrow=SIDE, padding=1, pad_value=0.5)
    pixels = (sheet * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels)
    scale = max(1, WIDTH // picture.width)
    picture = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    write_atomically(path, lambda file: picture.save(file, format="PNG"), durable=False)  # until "done" is


def write_scatter(path: Path, clouds: dict[str, Tensor]) -> None:
    """Two-dimensional points, a marker a cloud."""
    from benchmarks.common import style  # matplotlib takes long to import, and few runs need it

    figure, (axes,) = style.panels(1, size=(5, 4))
    for (label, points), marker, colour in zip(clouds.items(), ("o", "x"), ("0.65", "#b2182b"), strict=True):
        axes.scatter(*points.cpu().T.numpy(), s=8, marker=marker, color=colour, linewidths=0.8, label=label)
    axes.set(xlabel="x1", ylabel="x2", aspect="equal")
    axes.legend()
    style.write(figure, path.with_suffix(""))

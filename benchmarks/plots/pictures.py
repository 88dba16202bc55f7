"""How plots of models choose what they show, and how they show pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from torch import Tensor
from torch.nn import functional as F

from benchmarks.metrics import Evaluated
from benchmarks.plots.base import Results
from priors.base import Unsupported

IMAGE = 0.42
"""Side of an image in a row of them, in inches."""


def trained(results: Results, of_pictures: bool = False) -> dict[str, Evaluated]:
    """By method the model of its first seed; Unsupported where there is none, or where pictures are needed and are not
    what the data are."""
    models = {method: results.evaluated(run) for method, run in results.first().items()}
    if not models:
        raise Unsupported("none of these runs has a model")
    data = next(iter(models.values())).data
    if of_pictures and not data.of_pictures:
        raise Unsupported(f"{data.name} is not made of pictures")
    return models


def seeds(models: Mapping[str, Evaluated]) -> str:
    """Those of the runs that are shown, for a caption."""
    return "seed " + " or ".join(map(str, sorted({evaluated.seed for evaluated in models.values()})))


def generated(evaluated: Evaluated, count: int) -> Tensor:
    """E[x|z] at the first of the prior's draws: of many, since small sets of a resampling prior repeat themselves."""
    return evaluated.decoded(evaluated.draws[:count], "samples")


def show(axes: Axes, images: Tensor, across: int, rows: Sequence[str] = (), columns: Sequence[str] = ()) -> None:
    """Pictures (N, C, H, W), uint8, `across` a row, with names of the rows and of the columns."""
    height, width = images.shape[-2:]
    gap = max(1, width // 14)
    framed = F.pad(images.expand(-1, 3, -1, -1), (0, gap, 0, gap), value=255)
    sheet = framed.unflatten(0, (-1, across)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    axes.imshow(sheet[:-gap, :-gap].cpu().numpy())
    axes.set_yticks([(height - 1) / 2 + i * (height + gap) for i in range(len(rows))], rows)
    axes.set_xticks([(width - 1) / 2 + j * (width + gap) for j in range(len(columns))], columns)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)

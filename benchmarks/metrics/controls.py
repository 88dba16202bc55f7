"""Controls of metrics: real images, damaged in a known way, in the place of generated ones.

A metric that does not move where images are damaged in what it is to see is blind, and one that moves where they are
not measures something else. Each control says what it harms, and no metric knows a control by name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from priors.base import Unsupported
from priors.registry import Registry

Harm = Literal["fidelity", "coverage", "memorisation"]
"""fidelity: there are images that are no data. coverage: data are missing. memorisation: training images come back."""

MODE, FEW = 0.1, 0.05
"""Shares of the images that a tenth of the data, or a few per cent of them, are."""

KERNEL = (0.25, 0.5, 0.25)
"""Of the blur, along both sides: its variance is half a pixel's."""


class Real(NamedTuple):
    """What a control is made of: images that neither a metric's reference nor its training set has, their classes where
    there are any, and the training set; (n, C, H, W), uint8, and (n,)."""

    unseen: Tensor
    labels: Tensor | None
    training: Tensor


Damage = Callable[[Real, int], Tensor]
"""Real images and a number -> so many images, from torch's random state."""


@dataclass(frozen=True)
class Control:
    """A control by name. harms: what is wrong with its images. besides: what they lack too, by as much as a share of
    them is in the place of good ones: a metric of that may move, and need not. part: of the images of every set that
    metrics take, the reference among them."""

    name: str
    summary: str
    damage: Damage
    harms: tuple[Harm, ...] = ()
    besides: tuple[Harm, ...] = ()
    part: float = 1.0


CONTROLS: Registry[Control] = Registry(
    "control",
    ("benchmarks.metrics.controls",),
    lambda part: isinstance(part, Control) and callable(part.damage),
    "a function of real images that gives as many damaged ones as are asked for",
    '@control("name")',
    in_order=True,
)


def control(
    name: str, *, harms: tuple[Harm, ...] = (), besides: tuple[Harm, ...] = (), part: float = 1.0
) -> Callable[[Damage], Damage]:
    """Names a control for suites; its summary is the first line of the docstring."""

    def keep(damage: Damage) -> Damage:
        summary = (damage.__doc__ or "").partition("\n")[0]
        CONTROLS.add(name, Control(name, summary, damage, harms, besides, part), damage)
        return damage

    return keep


@control("clean")
def clean(real: Real, n: int) -> Tensor:
    """Real images that nothing has seen: what a perfect model draws. All others are held against it."""
    return enough(real.unseen, n)


@control("half", part=0.5)
def half(real: Real, n: int) -> Tensor:
    """The same in half the number, in every set: what moves here depends on how many images there are."""
    return enough(real.unseen, n)


@control("dropped-mode", harms=("coverage",))
def dropped_mode(real: Real, n: int) -> Tensor:
    """Real images without one class, drawn at random; as many as before, each of them fine."""
    if real.labels is None:
        raise Unsupported("no class can be left out: the data set has no labels, or their files are missing")
    classes = real.labels.unique()
    dropped = classes[torch.randint(len(classes), ())]
    return enough(real.unseen[real.labels != dropped], n)


@control("invented-mode", harms=("fidelity",), besides=("coverage",))
def invented_mode(real: Real, n: int) -> Tensor:
    """One image in ten is of no class: the upper half of one image above the lower half of another."""
    x = enough(real.unseen, n).clone()
    joined, rows = x[: some(MODE, n, 2)], x.shape[2] // 2
    joined[:, :, rows:] = joined[:, :, rows:].roll(1, 0)
    return x


@control("blur", harms=("fidelity",), besides=("coverage",))
def blur(real: Real, n: int) -> Tensor:
    """Every image is blurred by half a pixel's variance, as a decoder trained on squared errors blurs."""
    x = enough(real.unseen, n).float()
    kernel = torch.tensor(KERNEL, device=x.device)
    square = (kernel[:, None] * kernel).expand(x.shape[1], 1, 3, 3)
    return conv2d(pad(x, (1, 1, 1, 1), mode="replicate"), square, groups=x.shape[1]).round().to(real.unseen.dtype)


@control("outliers", harms=("fidelity",), besides=("coverage",))
def outliers(real: Real, n: int) -> Tensor:
    """One image in twenty is noise: every pixel uniform on its own."""
    x = enough(real.unseen, n).clone()
    noisy = x[: some(FEW, n)]
    noisy.copy_(torch.randint(0, 256, noisy.shape, device=x.device))
    return x


@control("few-copies", harms=("memorisation",))
def few_copies(real: Real, n: int) -> Tensor:
    """One image in twenty is a training image; the others are real and unseen."""
    x, count = enough(real.unseen, n), some(FEW, n)
    return torch.cat([drawn(real.training, count), x[count:]])


@control("copies", harms=("memorisation",))
def copies(real: Real, n: int) -> Tensor:
    """Every image is a training image, each once: a model that has only learned its training set by heart."""
    return drawn(real.training, n)


def some(share: float, n: int, least: int = 1) -> int:
    """A share of n images, `least` at least: of few images the share may be none, and the control would do nothing."""
    return max(least, round(share * n))


def drawn(images: Tensor, n: int) -> Tensor:
    """n of the images at random, each once."""
    return enough(images[torch.randperm(len(images), device=images.device)], n)


def enough(images: Tensor, n: int) -> Tensor:
    """The first n; Unsupported where there are fewer."""
    if len(images) < n:
        raise Unsupported(f"the control needs {n} images, and there are {len(images)}: lower protocol.generated")
    return images[:n]

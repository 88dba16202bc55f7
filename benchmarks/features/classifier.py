"""A small network trained on a data set's own labels, for pictures unlike the photographs that Inception knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.features.base import Features, Kept, Network, once, read, sha256

NAME = "classifier"

FORMAT = 1
"""Goes up with every change of the network or of its training, so that no older file is taken for it."""

SHIPPED = Path(__file__).parent / "shipped"
"""Weights for digits, MNIST and Fashion-MNIST in their published order, made by `train` on one thread of one machine:
elsewhere the same recipe gives others, whose features differ a little (`benchmarks.features.ship`)."""

STEPS, BATCH, RATE = 1000, 128, 3e-3

SIDE, WIDTH, DIMENSIONS = 4, 64, 64
"""Of the last convolution: its longer side and its channels. Of the points: their coordinates."""


class Classifier(nn.Module):
    """uint8 pictures (B, C, H, W) -> Features: points (B, 64), logits (B, classes).

    A convolution at the full size, others that halve it down to 4 x 4, a linear layer to the points, a ReLU, a linear
    layer to the logits. The points are those before the ReLU: after it two thirds of the coordinates are exactly 0 and
    their skewness rises from 0.9 to 1.6 (MNIST, Fashion-MNIST), which the normal law of a Frechet distance fits worse.
    Over the training set each coordinate has mean 0 and variance 1, nearly, so that all count alike.
    """

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        halvings = max(1, math.ceil(math.log2(max(shape[1:]) / SIDE)))
        widths = [shape[0], *(min(WIDTH, 16 * 2**i) for i in range(halvings + 1))]
        self.body = nn.Sequential(
            *map(convolution, widths, widths[1:], [1] + [2] * halvings),
            nn.AdaptiveAvgPool2d(SIDE),  # changes what is not 4 x 4 already, as from sides of 20 and 28
            nn.Flatten(),
            nn.Linear(widths[-1] * SIDE**2, DIMENSIONS, bias=False),
            nn.BatchNorm1d(DIMENSIONS, affine=False),
        )
        self.head = nn.Linear(DIMENSIONS, classes)

    def forward(self, pictures: Tensor) -> Features:
        points = self.body(pictures.to(self.head.weight) / 255 - 0.5)
        return Features(points, self.head(points.relu()))


def convolution(channels: int, width: int, stride: int) -> nn.Sequential:
    """3 x 3, normalised over the batch, ReLU."""
    layer = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(width), nn.ReLU())


@torch.enable_grad()
def train(
    pictures: Tensor,
    labels: Tensor,
    seed: int = 0,
    steps: int = STEPS,
    progress: Callable[[int], object] = lambda done: None,
) -> Classifier:
    """The classifier of uint8 pictures (N, C, H, W) after `steps` batches, with labels 0, 1, ... (N,), on the CPU.

    Everything is drawn from `seed`; torch's own random state neither matters nor changes. On one thread the weights
    are the same each time. progress: is told how many steps are done.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also seed the accelerators
        model = Classifier(pictures.shape[1:], classes(labels))
        epochs = math.ceil(steps * BATCH / len(pictures))
        order = torch.cat([torch.randperm(len(pictures)) for _ in range(epochs)])
    pictures, labels = pictures.cpu(), labels.cpu().long()
    optimiser = torch.optim.AdamW(model.parameters(), RATE, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for step, chosen in enumerate(order[: steps * BATCH].split(BATCH), start=1):
        optimiser.zero_grad()
        cross_entropy(model(pictures[chosen]).logits, labels[chosen]).backward()
        optimiser.step()
        schedule.step()
        progress(step)
    return model.eval()


def classes(labels: Tensor) -> int:
    """How many there are, with labels 0, 1, ..."""
    return int(labels.max()) + 1


@torch.no_grad()
def accuracy(model: Classifier, pictures: Tensor, labels: Tensor) -> float:
    """Share of pictures whose largest logit is the label's."""
    found = torch.cat([model(part).logits.argmax(1) for part in pictures.split(BATCH)])
    return (found == labels.cpu()).double().mean().item()


def classifier(
    name: str,
    pictures: Tensor,
    labels: Tensor,
    test_pictures: Tensor,
    test_labels: Tensor,
    folder: Path,
    progress: Callable[[int], object] = lambda done: None,
) -> Network:
    """The network trained on the data set `name`: that which comes with the project, so that estimates on different
    machines are in the same features, or one from `folder`, or else trained now and kept there.

    uint8 pictures (N, C, H, W) and labels (N,) for training, others for the accuracy that the network's note tells.
    The file's name has the digest of all of them. Raises ValueError where labels are not one a picture.
    """
    check(pictures=pictures, labels=labels)
    check(test_pictures=test_pictures, test_labels=test_labels)
    content = sha256(pictures=pictures, labels=labels, test_pictures=test_pictures, test_labels=test_labels)

    def compute() -> Kept:
        model = train(pictures, labels, progress=progress)
        return Kept(model.state_dict(), {"accuracy": str(accuracy(model, test_pictures, test_labels))})

    file = f"{NAME}-{FORMAT}-{content[:16]}.safetensors"
    weights, facts = read(SHIPPED / file) or once(folder / file, compute)
    with torch.device("meta"):  # draws nothing
        model = Classifier(pictures.shape[1:], classes(labels))
    model.load_state_dict(weights, assign=True)
    digest, share = facts["sha256"][:8], float(facts["accuracy"])
    note = f"a classifier trained on {name}, test accuracy {share:.3f}, weights {digest}"
    return Network(NAME, digest, note, model.eval().requires_grad_(False))


def check(**sets: Tensor) -> None:
    """Raises ValueError unless pictures and labels are equally many."""
    (pictures, n), (labels, m) = ((name, len(values)) for name, values in sets.items())
    if n != m:
        raise ValueError(f"{labels} must be one a picture, but there are {m} for {n} {pictures}")

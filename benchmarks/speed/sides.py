"""The two sides of `benchmarks.speed.peer`: the same networks under our loop and under pythae's."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAMP, VAEConfig, VAMPConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn

from benchmarks.common.seeds import seed_for
from benchmarks.datasets import Dataset
from benchmarks.datasets.base import Split
from benchmarks.estimators.importance import importance_sampling
from benchmarks.runner.turns import Turns
from benchmarks.speed.step import make_trainer
from priors.base import density
from priors.parts.gated import gated_stack

if TYPE_CHECKING:
    from benchmarks.speed.peer import Settings

BATCH, COMPONENTS, LATENT, WIDTHS, SHAPE = 100, 500, 40, (300, 300), (1, 28, 28)
PIXELS = 28 * 28


def sides(method: str, settings: Settings) -> tuple[Ours, Theirs]:
    """Both, on the same images and with networks of the same sizes."""
    ours = Ours(method, settings)
    return ours, Theirs(method, settings, ours.data)


class Ours:
    """Our training loop's steps, and our importance sampling."""

    def __init__(self, method: str, settings: Settings):
        sizes = (f"model.widths={[*WIDTHS]}", f"prior.vampprior.components={COMPONENTS}")
        self.trainer = make_trainer(method, settings.data, *sizes, f"training.precision={settings.precision}")
        torch.manual_seed(0)
        self.data = drawn_once(self.trainer.data, settings.steps * BATCH)
        self.trainer.data, self.settings, self.turn = self.data, settings, count()
        self.trainer.turns = [
            Turns(player, settings.precision, self.trainer.both, settings.compile, 0) for player in self.trainer.players
        ]

    def train(self) -> float:
        """The mean loss of one pass over the images, nats an image."""
        losses = [self.trainer.step(index) for index in torch.randperm(len(self.data.train)).split(BATCH)]
        return torch.stack([one["vae.loss"] for one in losses]).mean().item()

    @torch.no_grad()
    def evaluate(self) -> float:
        """Mean ln p(x) of the first test images."""
        self.trainer.both.eval()
        x, model = self.data.test[: self.settings.images], self.trainer.model
        prior, seed = density(self.trainer.prior).frozen(), partial(seed_for, 0, f"turn {next(self.turn)}")
        found = importance_sampling(
            x, model.encode_all(x), model.log_likelihood, prior, (self.settings.samples,), lambda image: seed(image)
        )
        return found.log_likelihood[self.settings.samples].mean().item()


def drawn_once(data: Dataset, images: int) -> Dataset:
    """The first training images, drawn once as 0 and 1, for which neither side then has to draw."""
    train = Split(data.train.batch(slice(images)), 1.0)
    return replace(data, train=train)


class Encoder(BaseEncoder):
    """Our gated encoder as pythae has it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), gated_stack(PIXELS, WIDTHS, 2 * LATENT))

    def forward(self, x: Tensor) -> Any:
        mean, log_variance = self.layers(x).chunk(2, dim=-1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    """Our gated decoder as pythae has it, which wants the mean and not its logit."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(gated_stack(LATENT, WIDTHS, PIXELS), nn.Unflatten(1, SHAPE))

    def forward(self, z: Tensor) -> Any:
        return ModelOutput(reconstruction=self.layers(z).sigmoid())


THEIR_MODELS: dict[str, Callable[[dict[str, Any]], VAE]] = {
    "gaussian": lambda sizes: VAE(VAEConfig(**sizes), Encoder(), Decoder()),
    "vampprior": lambda sizes: VAMP(VAMPConfig(**sizes, number_components=COMPONENTS), Encoder(), Decoder()),
}
"""pythae's models with the laws of our methods."""


class Theirs:
    """pythae's trainer, step by step, and its own likelihood."""

    def __init__(self, method: str, settings: Settings, data: Dataset):
        sizes = {"input_dim": SHAPE, "latent_dim": LATENT, "reconstruction_loss": "bce"}
        with silence():
            self.model = THEIR_MODELS[method](sizes)
            images = data.train.stored
            self.trainer = BaseTrainer(
                self.model,
                BaseDataset(images, torch.ones(len(images))),
                training_config=BaseTrainerConfig(
                    output_dir=tempfile.mkdtemp(prefix="priorbench-"),
                    per_device_train_batch_size=BATCH,
                    learning_rate=5e-4,
                    no_cuda=True,
                ),
            )
            self.trainer.prepare_training()
        self.x, self.samples = data.test[: settings.images], settings.samples

    def train(self) -> float:
        """The mean loss of one pass over the images, nats an image."""
        with silence():
            return float(self.trainer.train_step(epoch=1))

    @torch.no_grad()
    def evaluate(self) -> float:
        """Mean ln p(x) of the first test images, in the batches that pythae takes unless it is told others."""
        self.model.eval()
        with silence():
            return float(self.model.get_nll(self.x, self.samples))

    def take(self, ours: Ours) -> None:
        """Our weights."""
        model = ours.trainer.model
        self.model.encoder.layers.load_state_dict(model.encoder.state_dict())
        self.model.decoder.layers.load_state_dict(model.decoder.state_dict())
        if isinstance(self.model, VAMP):
            pseudo_inputs = ours.trainer.prior.state_dict()["pseudo_inputs"].flatten(1)
            layer = self.model.pseudo_inputs[0]  # of the unit matrix, whose rows choose the pseudo-inputs
            layer.weight.data = pseudo_inputs.T.contiguous()
            layer.bias.data.zero_()


@contextmanager
def silence() -> Iterator[None]:
    """pythae prints as it goes."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield

"""What a suite says of how its estimates are computed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from benchmarks.common.settings import Settings


class ProtocolSettings(Settings):
    """What makes two numbers comparable, beside the data and the likelihood.

    binarisation: 'auto' takes the data set's own rule; 'expected' trains on grey e as the expectation over x ~
    Bernoulli(e) and scores x drawn once under q(z|e) (VAEPP). size: side to scale images to (0: as stored).
    samples: importance samples K, from one stream. images: test images that the likelihood is estimated on (0: all).
    generated: images a side in estimates of samples (fewer where the test set is smaller), which depend on this number.
    """

    binarisation: Literal["auto", "dynamic", "static", "expected", "none"] = "auto"
    size: int = Field(0, ge=0, le=8192)
    samples: tuple[Annotated[int, Field(ge=1)], ...] = Field((10, 100, 1000, 5000), min_length=1)
    images: int = Field(0, ge=0)
    generated: int = Field(10_000, ge=2)

"""An autoregressive prior."""

from __future__ import annotations

from zuko.transforms import MonotonicAffineTransform

from priors.base import Host
from priors.parts.checks import at_least
from priors.parts.flows import Flow, TransformKind, autoregressive_layers, univariate
from priors.registry import register
from priors.space import Choice, Int


@register("autoregressive")
class Autoregressive(Flow):
    """Masked autoregressive flow: every dimension given those before it (Papamakarios et al. 2017, section 3).

    p(z) = N(g(z) | 0, I) |det dg/dz|, and each layer of g moves dimension d by what a network reads off those before,

        z_d -> z_d exp(s_d(z_<d)) + t_d(z_<d),

    the order of dimensions reversed from one layer to the next. One layer is a MADE with normal conditionals (Germain
    et al. 2015). A density takes one pass a layer, a draw D passes.

    widths: of the networks' hidden layers, widened to D where smaller.
    transform: "affine", or "spline" for rational-quadratic splines of `bins` bins on [-5, 5] (Durkan et al. 2019).
    """

    space = {"layers": Int(1, 6), "transform": Choice(("affine", "spline"))}

    def __init__(
        self,
        host: Host,
        *,
        layers: int = 3,
        widths: tuple[int, ...] = (64, 64),
        transform: TransformKind = "affine",
        bins: int = 8,
    ):
        at_least("autoregressive", 1, layers=layers)
        kind = univariate(MonotonicAffineTransform, transform, bins)
        super().__init__(host.latent_dim, autoregressive_layers(host.latent_dim, layers, widths, kind))

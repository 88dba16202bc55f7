"""Networks: shapes, sizes counted by hand from the papers, gradients, and what is peculiar to one of them."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import Tensor, nn

from models.backbones import BACKBONES, Backbone
from models.backbones.base import Stage
from models.backbones.initial import he

TINY = {
    "mlp": (5, 4),
    "dense": (5, 4),
    "conv": (2, 3),
    "dpvae": (3, 6),
    "flexae": (2, 3, 6),
    "hvae": (5, 4),
    "infogan": (2, 3, 6),
    "vaepp": (2, 3, 4),
    "vaepp-cifar": (2, 3),
}
OF_IMAGES = {"conv": 1, "dpvae": 16, "flexae": 4, "infogan": 4, "vaepp": 1, "vaepp-cifar": 1}  # smallest side
NORMALISED = ("flexae", "infogan")
FROM_ZERO = ("vaepp", "vaepp-cifar")


def tiny(name: str, shape: tuple[int, ...] = (1, 16, 16), latent_dim: int = 3, outputs: int = 2) -> Backbone:
    """The backbone at tiny widths in float64, for a normal posterior; a layer of zeros is given weights."""
    networks = BACKBONES[name](shape, 2 * latent_dim, latent_dim, outputs, TINY[name])
    for parameter in networks.encoder[-2:].parameters():
        if not parameter.any():
            nn.init.normal_(parameter)
    return Backbone(networks.encoder.double(), networks.decoder.double())


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def uniform(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64)


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def test_every_backbone_is_tested():
    assert TINY.keys() == BACKBONES.keys()


# Shapes


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [8, 28, 32, 64, 100])
@pytest.mark.parametrize("name", BACKBONES)
def test_decoder_gives_the_shape_that_the_encoder_takes(name, side, channels):
    if side < OF_IMAGES.get(name, 1):
        pytest.skip(f"{name} needs larger images")
    check_shapes(name, (channels, side, side))


@pytest.mark.parametrize("size", [(28, 20), (17, 16), (31, 50), (33, 127), (128, 128)])
@pytest.mark.parametrize("name", OF_IMAGES)
def test_no_side_need_be_divisible(name, size):
    check_shapes(name, (1, *size))


@pytest.mark.parametrize("side", [8, 9, 11, 13, 21, 45, 63, 77, 99, 127, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_conv_takes_every_size(side, channels):
    check_shapes("conv", (channels, side, side + 2))


@pytest.mark.parametrize("name", ["mlp", "dense"])
def test_vectors_need_no_images(name):
    check_shapes(name, (2,))


def check_shapes(name: str, shape: tuple[int, ...]) -> None:
    networks = tiny(name, shape)
    assert networks.encoder(uniform(2, *shape)).shape == (2, 6)
    assert networks.decoder(normal(2, 3)).shape == (2, 2, *shape)


@pytest.mark.parametrize("stage", [Stage(3, 2, 1), Stage(4, 2, 1), Stage(3, 1, 0), Stage(5, 3, 2)])
def test_a_stage_leads_back_to_every_size(stage):
    for side in range(4, 129):
        x = torch.zeros(1, 1, side, 4)
        small = stage.down(1, 1)(x)
        assert small.shape[2:] == stage.after((side, 4))
        assert stage.up(1, 1, (side, 4))(small).shape == x.shape


# Refusals


@pytest.mark.parametrize("name", OF_IMAGES)
def test_vectors_are_refused_by_networks_of_images(name):
    with pytest.raises(ValueError, match=rf"the {name} backbone needs images.*\(2,\): use mlp or dense"):
        BACKBONES[name]((2,), 4, 2, 1)


@pytest.mark.parametrize(("name", "smallest"), [item for item in OF_IMAGES.items() if item[1] > 1])
def test_small_images_are_refused(name, smallest):
    check_shapes(name, (1, smallest, smallest))
    with pytest.raises(ValueError, match=rf"the {name} backbone needs sides of {smallest} .*{smallest - 1} x 40"):
        BACKBONES[name]((1, smallest - 1, 40), 4, 2, 1)


@pytest.mark.parametrize(
    ("name", "widths"),
    [("dpvae", (32,)), ("flexae", (4, 6)), ("infogan", ()), ("vaepp", (4,)), ("vaepp-cifar", (4, 6, 8)), ("conv", ())],
)
def test_widths_that_do_not_fit_are_refused(name, widths):
    with pytest.raises(ValueError, match=rf"the {name} backbone needs .* widths?, .*\["):
        BACKBONES[name]((1, 28, 28), 4, 2, 1, widths)


# Sizes as the papers have them


def dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def convolution(kernel: int, inputs: int, outputs: int) -> int:
    return kernel**2 * inputs * outputs + outputs


def block(inputs: int, outputs: int, kernel: int = 3, keeps: bool = False) -> int:
    """Two convolutions and, unless the shape stays, a 1x1 one."""
    shortcut = 0 if keeps else convolution(1, inputs, outputs)
    return convolution(kernel, inputs, outputs) + convolution(kernel, outputs, outputs) + shortcut


SIZES = {
    # MNIST, D = 2: 512 = 32 x 4 x 4 features
    ("dpvae", (1, 28, 28), 4, 2, 1): (
        544 + 9248 + 16416 + 9248 + 131328 + 65792 + 1028,
        768 + 65792 + 131584 + 9248 + 16416 + 9248 + 513,
    ),
    # MNIST, m = 32 without variances: no bias and two numbers a channel where batch norm follows
    ("flexae", (1, 28, 28), 32, 32, 1): (
        1088 + (64 * 128 * 16 + 256) + (6272 * 1024 + 2048) + dense(1024, 32),
        (32 * 1024 + 2048) + (1024 * 6272 + 12544) + (128 * 128 * 16 + 256) + (128 * 64 * 16 + 128) + 577,
    ),
    # CIFAR-10, D = 64
    ("infogan", (3, 32, 32), 128, 64, 1): (
        3136 + (64 * 128 * 16 + 256) + (8192 * 1024 + 2048) + dense(1024, 128),
        (64 * 1024 + 2048) + (1024 * 8192 + 16384) + (128 * 64 * 16 + 128) + 3075,
    ),
    # MNIST, D = 13
    ("vaepp", (1, 28, 28), 26, 13, 1): (
        2512 + 14432 + 57536 + dense(7 * 7 * 64, 26),
        dense(13, 7 * 7 * 64) + 78016 + 29792 + 7472 + 17,
    ),
    # CIFAR-10, D = 1024: maps of 16 x 8 x 8, their mean and log variance by one convolution
    ("vaepp-cifar", (3, 32, 32), 2048, 1024, 2): (
        block(3, 96, 5)
        + block(96, 96, keeps=True)
        + block(96, 192)
        + block(192, 192, keeps=True)
        + block(192, 192)
        + 2 * block(192, 192, keeps=True)
        + convolution(1, 192, 32),
        block(16, 192)
        + 2 * block(192, 192, keeps=True)
        + block(192, 192)
        + 2 * block(192, 192, keeps=True)
        + block(192, 96)
        + block(96, 96, 5, keeps=True)
        + convolution(1, 96, 6),
    ),
    # VampPrior's gated layers: two products each
    ("mlp", (1, 28, 28), 80, 40, 1): (
        2 * dense(784, 300) + 2 * dense(300, 300) + dense(300, 80),
        2 * dense(40, 300) + 2 * dense(300, 300) + dense(300, 784),
    ),
    ("dense", (128,), 50, 50, 1): (
        dense(128, 256) + dense(256, 256) + dense(256, 50),
        dense(50, 256) + dense(256, 256) + dense(256, 128),
    ),
    ("conv", (1, 28, 28), 80, 40, 1): (
        convolution(3, 1, 32) + convolution(3, 32, 64) + dense(7 * 7 * 64, 80),
        dense(40, 7 * 7 * 64) + convolution(3, 64, 32) + convolution(3, 32, 1),
    ),
}


@pytest.mark.parametrize("case", SIZES, ids=lambda case: case[0])
def test_own_widths_give_the_size_of_the_source(case):
    name, *arguments = case
    networks = BACKBONES[name](*arguments)
    assert (count(networks.encoder), count(networks.decoder)) == SIZES[case]


def test_fashion_widths_of_vaepp_add_blocks_of_stride_one():
    networks = BACKBONES["vaepp"]((1, 28, 28), 80, 40, 1, (16, 32, 32, 32, 64))
    fewer = BACKBONES["vaepp"]((1, 28, 28), 80, 40, 1, (16, 32, 64))
    added = [count(more) - count(less) for more, less in zip(networks, fewer, strict=True)]
    grown = block(32, 32, keeps=True)  # 16 -> 32 at stride 1, 32 -> 32 at stride 1 and at stride 2
    assert added == [grown + block(32, 32), 2 * grown]


@pytest.mark.parametrize("name", BACKBONES)
def test_widths_have_a_default_that_is_the_suites_to_change(name):
    parameters = list(inspect.signature(BACKBONES[name]).parameters.values())
    assert parameters[-1].name == "widths"
    assert len(parameters[-1].default) >= 2
    assert count(tiny(name).encoder) < count(BACKBONES[name]((1, 16, 16), 6, 3, 2).encoder)


# What a network computes


@pytest.mark.parametrize("name", BACKBONES)
def test_gradient_reaches_every_parameter(name):
    networks = tiny(name)
    for network, inputs in ((networks.encoder, uniform(8, 1, 16, 16)), (networks.decoder, normal(8, 3))):
        out = network(inputs)
        loss = (out * torch.randn_like(out)).sum()
        for parameter, gradient in zip(
            network.parameters(), torch.autograd.grad(loss, list(network.parameters())), strict=True
        ):
            assert gradient.isfinite().all()
            assert gradient.abs().max() > 1e-8, parameter.shape


@pytest.mark.parametrize("name", [name for name in BACKBONES if name != "hvae"])
def test_outputs_take_both_signs(name):
    """Of hvae's encoder a part is gated features, which are read on."""
    networks = tiny(name)
    for network, inputs in ((networks.encoder, uniform(4, 1, 16, 16)), (networks.decoder, normal(4, 3))):
        *_, bias = (parameter for key, parameter in network.named_parameters() if key.endswith("bias"))
        for value in (-100.0, 100.0):
            nn.init.constant_(bias, value)
            torch.testing.assert_close(network(inputs).sign(), torch.full_like(network(inputs), value).sign())


@pytest.mark.parametrize("name", BACKBONES)
def test_weights_follow_from_the_seed(name):
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        networks = BACKBONES[name]((1, 16, 16), 6, 3, 2, TINY[name])
        states.append(torch.cat([p.flatten() for network in networks for p in network.parameters()]))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize("name", BACKBONES)
def test_images_do_not_see_each_other_in_evaluation(name):
    networks = tiny(name)
    for network, inputs in ((networks.encoder, uniform(6, 1, 16, 16)), (networks.decoder, normal(6, 3))):
        network(inputs)  # running statistics other than 0 and 1
        alone = network.eval()(inputs[2:3])
        torch.testing.assert_close(network(inputs)[2:3], alone)
        state = network.train()(inputs)[2:3]
        assert torch.allclose(state, alone) == (name not in NORMALISED)


@pytest.mark.parametrize("name", FROM_ZERO)
@pytest.mark.parametrize("latent_dim", [3, 32])  # a dense head, and for vaepp-cifar one of maps
def test_posterior_starts_at_the_standard_normal(name, latent_dim):
    encoder = BACKBONES[name]((1, 16, 16), 2 * latent_dim, latent_dim, 1, TINY[name]).encoder
    assert torch.equal(encoder(torch.rand(4, 1, 16, 16)), torch.zeros(4, 2 * latent_dim))


def test_spectral_norm_is_on_all_products_of_infogans_encoder_only():
    encoder, decoder = tiny("infogan")
    products = [layer for layer in encoder if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(products) == 4
    for _ in range(50):  # a power iteration each
        encoder(uniform(2, 1, 16, 16))
    for layer in products:
        largest = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
        assert largest == pytest.approx(1, abs=1e-4)
        assert layer.parametrizations.weight.original.requires_grad
    assert not any(hasattr(layer, "parametrizations") for layer in (*decoder, *tiny("flexae").encoder))


def test_dense_mirrors_its_widths():
    encoder, decoder = BACKBONES["dense"]((6,), 4, 2, 1, (5, 3))
    assert count(encoder) == dense(6, 5) + dense(5, 3) + dense(3, 4)
    assert count(decoder) == dense(2, 3) + dense(3, 5) + dense(5, 6)


@pytest.mark.parametrize(("name", "slope"), [("infogan", 0.2), ("flexae", 0.0), ("dpvae", 0.0)])
def test_first_layer_of_the_encoder_is_rectified(name, slope):
    first, rectifier = tiny(name).encoder[:2]
    h = first(uniform(4, 1, 16, 16) - 0.5)
    torch.testing.assert_close(rectifier(h), torch.where(h > 0, h, slope * h))


@pytest.mark.parametrize("name", ["dense", "conv", "dpvae", "flexae", "infogan"])
def test_one_rectifier_stands_between_two_products(name):
    products, rectifiers = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d), (nn.ReLU, nn.LeakyReLU)
    for network in tiny(name):
        layers = [layer for part in network for layer in (part if isinstance(part, nn.Sequential) else [part])]
        order = "".join("w" * isinstance(one, products) + "a" * isinstance(one, rectifiers) for one in layers)
        assert order == "a".join("w" * order.count("w"))


def test_sides_of_dpvae_are_the_papers():
    networks = BACKBONES["dpvae"]((1, 28, 28), 4, 2, 1)
    for network, x, sides in (
        (networks.encoder, torch.rand(1, 1, 28, 28), [14, 12, 6, 4]),
        (networks.decoder, torch.randn(1, 2), [6, 12, 14, 28]),
    ):
        found = []
        for layer in network:
            x = layer(x)
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                found.append(x.shape[-1])
        assert found == sides


def test_codes_of_vaepp_cifar_are_maps_of_the_image():
    networks = tiny("vaepp-cifar", (1, 128, 128), latent_dim=2 * 32 * 32, outputs=1)
    x, z = uniform(1, 1, 128, 128).requires_grad_(), normal(1, 2 * 32 * 32).requires_grad_()
    means = networks.encoder(x).chunk(2, dim=1)[0].reshape(2, 32, 32)
    (seen,) = torch.autograd.grad(means[1, 0, 0], x)  # the corner's second number
    (used,) = torch.autograd.grad(networks.decoder(z)[0, 0, 0, :2, :2].sum(), z)
    assert (seen[..., :8, :8] != 0).any()
    assert (seen[..., 64:, :] == 0).all()
    assert (seen[..., 64:] == 0).all()
    used = used.reshape(2, 32, 32)
    assert (used[:, :2, :2] != 0).all()
    assert (used[:, 16:] == 0).all()
    assert (used[..., 16:] == 0).all()


def test_code_that_is_no_map_goes_through_dense_layers():
    networks = tiny("vaepp-cifar", latent_dim=3)  # maps have 4 x 4 numbers
    assert [type(layer) for layer in networks.encoder[-2:]] == [nn.Flatten, nn.Linear]
    assert networks.decoder[0].weight.shape == (16 * 4 * 4, 3)


def test_hes_initial_weights_keep_a_signals_size():
    """Of x with unit variance, every layer's output before its nonlinearity has variance 2, whatever the number of
    inputs; biases stay."""
    torch.manual_seed(0)
    layers = [nn.Linear(400, 300), nn.Conv2d(20, 30, 3), nn.ConvTranspose2d(20, 30, 3)]
    biases = [layer.bias.clone() for layer in layers]
    he(layers)
    for layer, bias, shape in zip(layers, biases, ((500, 400), (20, 20, 9, 9), (20, 20, 9, 9)), strict=True):
        inside = layer(torch.randn(shape)) - layer.bias.view(-1, *[1] * (len(shape) - 2))
        centre = inside if inside.dim() == 2 else inside[..., 2:-2, 2:-2]
        assert centre.var().item() == pytest.approx(2.0, rel=0.05)
        assert torch.equal(layer.bias, bias)

"""EfficientNet of the notebook against torchvision's; stochastic depth and the rounding rules in numbers."""

import math

import pytest
import torch
import torchvision
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from utils.lesson import networks

PARAMETERS = {  # with 1000 and with ten classes
    "b0": (5_288_548, 4_020_358),
    "b1": (7_794_184, 6_525_994),
    "b2": (9_109_994, 7_715_084),
    "b3": (12_233_232, 10_711_602),
    "b4": (19_341_616, 17_566_546),
    "b5": (30_389_784, 28_361_274),
    "b6": (43_040_704, 40_758_754),
    "b7": (66_347_960, 63_812_570),
}
VARIANTS = list(PARAMETERS)


@pytest.fixture(scope="module")
def lesson():
    return networks("14_efficientnet")


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def reference(variant: str, classes: int = 1000) -> nn.Module:
    return getattr(torchvision.models, f"efficientnet_{variant}")(num_classes=classes)


def of_kind(net: nn.Module, *kinds: type[nn.Module]) -> list[nn.Module]:
    return [module for module in net.modules() if isinstance(module, kinds)]


def with_weights_of(net: nn.Module, source: nn.Module) -> nn.Module:
    """The same tensors in the same order; shapes have to agree one by one."""
    theirs = list(source.state_dict().values())
    ours = net.state_dict()
    assert [t.shape for t in ours.values()] == [t.shape for t in theirs]
    net.load_state_dict(dict(zip(ours, theirs, strict=True)))
    return net.eval()


def lively(net: nn.Module, images: torch.Tensor) -> nn.Module:
    """Gates, affine parameters and averages that matter, as after training: no part can hide behind a 0 or a 1."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
        elif isinstance(module, nn.Conv2d) and module.bias is not None:  # squeeze and excitation
            nn.init.normal_(module.bias, 0, 1)
    net.eval()
    norms = of_kind(net, nn.BatchNorm2d)
    momentum = norms[0].momentum
    for module in norms:
        module.train().momentum = 1.0  # take the averages of these images
    with torch.inference_mode():
        net(images)
    for module in norms:
        module.eval().momentum = momentum
    return net


# --- the same network as torchvision's ----------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_equal_torchvisions(lesson, variant):
    with torch.device("meta"):
        large = lesson.efficientnet(variant, classes=1000, strides=lesson.IMAGENET_STRIDES)
        small = lesson.efficientnet(variant)  # ten classes, strides for 32 x 32
        assert (count(large), count(small)) == PARAMETERS[variant]
        assert (count(reference(variant)), count(reference(variant, 10))) == PARAMETERS[variant]


@pytest.mark.parametrize("variant", VARIANTS)
def test_same_output_as_torchvision_with_the_same_weights(lesson, variant):
    torch.manual_seed(0)
    images = torch.randn(4, 3, 96, 80)
    theirs = lively(reference(variant), images)
    ours = lesson.efficientnet(variant, classes=1000, strides=lesson.IMAGENET_STRIDES)
    with_weights_of(ours, theirs)
    with torch.inference_mode():
        expected, found = theirs(images), ours(images)
    assert 0.05 < expected.std() < 5, (
        "an output that is all but 0 would prove nothing, and a huge one be all rounding"
    )
    assert (expected[0] - expected[1]).abs().max() > 0.01
    assert (found - expected).abs().max() < 1e-4


@pytest.mark.parametrize("variant", VARIANTS)
def test_norms_dropout_and_drop_rates_equal_torchvisions(lesson, variant):
    with torch.device("meta"):
        ours, theirs = lesson.efficientnet(variant, classes=1000), reference(variant)
    norms = [[(m.eps, m.momentum) for m in of_kind(net, nn.BatchNorm2d)] for net in (ours, theirs)]
    assert norms[0] == norms[1]
    assert [m.p for m in of_kind(ours, nn.Dropout)] == [m.p for m in of_kind(theirs, nn.Dropout)]
    assert [m.drop_rate for m in of_kind(ours, lesson.StochasticDepth)] == pytest.approx(
        [m.p for m in of_kind(theirs, torchvision.ops.StochasticDepth)]
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_strides_kernels_and_shortcuts_equal_torchvisions(lesson, variant):
    with torch.device("meta"):
        ours = lesson.efficientnet(variant, classes=1000, strides=lesson.IMAGENET_STRIDES)
        theirs = reference(variant)
    shapes = [
        [(m.in_channels, m.out_channels, m.kernel_size, m.stride, m.groups) for m in of_kind(net, nn.Conv2d)]
        for net in (ours, theirs)
    ]
    assert shapes[0] == shapes[1]
    shortcuts = [m.shortcut for m in of_kind(ours, lesson.MBConv)]
    blocks = of_kind(theirs, torchvision.models.efficientnet.MBConv)
    assert shortcuts == [m.use_res_connect for m in blocks]


def test_table_of_variants(lesson):
    assert list(lesson.VARIANTS) == VARIANTS
    resolutions = [variant.resolution for variant in lesson.VARIANTS.values()]
    assert resolutions == [224, 240, 260, 300, 380, 456, 528, 600]


# --- sizes and channels -------------------------------------------------------------------------------------


def test_last_map_is_4_x_4_for_32_pixels(lesson):
    net = lesson.efficientnet().eval()
    images = torch.randn(2, 3, 32, 32)
    x = net.stages(net.stem(images))
    assert x.shape == (2, 320, 4, 4)
    assert net.head(x).shape == (2, 1280, 4, 4)
    assert net(images).shape == (2, 10)


def test_strides_follow_from_the_papers_resolutions(lesson):
    resolutions = [224, *(resolution for _, _, resolution, _, _ in lesson.STAGES), 7]
    halves = tuple(a // b for a, b in zip(resolutions, resolutions[1:], strict=False))
    assert halves == lesson.IMAGENET_STRIDES


def test_one_input_channel(lesson):
    net = lesson.efficientnet(in_channels=1, strides=lesson.IMAGENET_STRIDES)
    assert count(net) == 4_019_782
    assert net.stem[0].weight.numel() == 288
    assert net.eval()(torch.randn(1, 1, 64, 64)).shape == (1, 10)


def test_summed_colour_weights_do_the_same_to_a_grey_picture(lesson):
    colour = lesson.efficientnet(strides=lesson.IMAGENET_STRIDES).eval()
    weights = colour.state_dict()
    weights["stem.0.weight"] = weights["stem.0.weight"].sum(1, keepdim=True)
    grey = lesson.efficientnet(in_channels=1, strides=lesson.IMAGENET_STRIDES).eval()
    grey.load_state_dict(weights)
    images = torch.rand(2, 1, 48, 48)
    with torch.inference_mode():
        assert torch.allclose(colour(images.expand(-1, 3, -1, -1)), grey(images), atol=1e-5)


@pytest.mark.parametrize(("strides", "smallest"), [("IMAGENET_STRIDES", 17), ("CIFAR10_STRIDES", 5)])
def test_the_smallest_picture(lesson, strides, smallest):
    net = lesson.efficientnet(strides=getattr(lesson, strides)).eval()
    assert net(torch.randn(1, 3, smallest, smallest)).shape == (1, 10)
    for size in [(smallest - 1, 64), (64, smallest - 1)]:
        with pytest.raises(ValueError, match=f"at least {smallest} pixels a side, not"):
            net(torch.randn(1, 3, *size))


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (2, 4, 32, 32), (3, 32, 32), (32, 32)])
def test_wrong_channels_are_refused(lesson, shape):
    with pytest.raises(ValueError, match=r"Give images \[N, 3, H, W\]"):
        lesson.efficientnet()(torch.randn(shape))


@pytest.mark.parametrize("variant", ["b8", "B0", "efficientnet_b0", ""])
def test_unknown_variants_are_refused(lesson, variant):
    with pytest.raises(ValueError, match="choose one of b0, b1, b2, b3, b4, b5, b6, b7"):
        lesson.efficientnet(variant)


@pytest.mark.parametrize("coefficients", [(0, 1), (-1, 1), (1, 0), (1, -0.5), (math.nan, 1), (1, math.inf)])
def test_impossible_widths_and_depths_are_refused(lesson, coefficients):
    with pytest.raises(ValueError, match="give numbers above 0"):
        lesson.EfficientNet(*coefficients)


# --- compound scaling ---------------------------------------------------------------------------------------


@given(channels=st.integers(1, 2000), width=st.floats(0.1, 4))
def test_width_is_a_near_multiple_of_8_and_never_under_90_percent(lesson, channels, width):
    rounded, exact = lesson.round_width(channels, width), channels * width
    assert rounded % 8 == 0
    assert rounded >= 8
    assert rounded >= 0.9 * exact
    assert rounded - exact <= 4 or rounded == 8 or rounded - 8 < 0.9 * exact


def test_rounding_on_known_numbers(lesson):
    assert [lesson.round_width(c, w) for c, w in [(32, 1.1), (24, 1.2), (32, 1.8), (1280, 2.0)]] == [
        32,
        32,
        56,
        2560,
    ]
    assert lesson.round_width(16, 1.2) == 24, "16 would be 83 % of 19.2"
    assert [lesson.round_depth(n, 1.1) for n in (1, 2, 2, 3, 3, 4, 1)] == [2, 3, 3, 4, 4, 5, 2]
    assert lesson.round_depth(4, 2.6) == 11


def test_truncating_the_coefficients_turns_b1_to_b4_into_b0(lesson):
    """What the notebook shows as a mistake."""
    with torch.device("meta"):
        counts = [
            count(lesson.EfficientNet(int(v.width), math.floor(v.depth))) for v in lesson.VARIANTS.values()
        ]
    assert counts[1:5] == [counts[0]] * 4
    assert counts[5] == counts[6]


# --- stochastic depth, squeeze and excitation ---------------------------------------------------------------


@pytest.mark.parametrize("drop_rate", [0.1, 0.2, 0.5])
def test_stochastic_depth_keeps_the_expectation(lesson, drop_rate):
    torch.manual_seed(0)
    branch = torch.randn(3, 4, 4)
    out = lesson.StochasticDepth(drop_rate)(branch.expand(40_000, -1, -1, -1))
    error = (drop_rate / (1 - drop_rate) / 40_000) ** 0.5  # of the mean of 40,000 draws
    assert ((out.mean(0) - branch).abs() <= 5 * error * branch.abs() + 1e-4).all()


def test_stochastic_depth_draws_for_each_image(lesson):
    torch.manual_seed(0)
    branch = torch.randn(1000, 2, 3, 3)
    out = lesson.StochasticDepth(0.2)(branch)
    dropped = (out == 0).flatten(1)
    assert (dropped.all(1) | ~dropped.any(1)).all(), "an image keeps its branch as a whole or not at all"
    assert 150 < dropped.all(1).sum() < 250
    kept = ~dropped.all(1)
    assert torch.allclose(out[kept], branch[kept] / 0.8)


def test_stochastic_depth_does_nothing_in_testing_or_at_rate_0(lesson):
    branch = torch.randn(8, 2, 3, 3)
    assert torch.equal(lesson.StochasticDepth(0.5).eval()(branch), branch)
    assert torch.equal(lesson.StochasticDepth(0.0)(branch), branch)


@pytest.mark.parametrize("drop_rate", [1.0, -0.1, math.nan])
def test_impossible_drop_rates_are_refused(lesson, drop_rate):
    with pytest.raises(ValueError, match="from 0 to below 1"):
        lesson.StochasticDepth(drop_rate)


def test_drop_rates_grow_linearly_from_0(lesson):
    rates = torch.tensor([m.drop_rate for m in of_kind(lesson.efficientnet(), lesson.StochasticDepth)])
    assert len(rates) == 16
    assert rates[0] == 0
    assert torch.allclose(rates.diff(), torch.full((15,), 0.2 / 16))


def test_a_dropped_block_leaves_the_shortcut(lesson):
    torch.manual_seed(0)
    block = lesson.MBConv(8, 8, kernel_size=3, stride=1, expansion=6, drop_rate=0.9)
    x = torch.randn(64, 8, 5, 5)
    unchanged = (block(x) == x).flatten(1).all(1)
    assert 45 < unchanged.sum() < 64
    assert not lesson.MBConv(8, 8, kernel_size=3, stride=2, expansion=6).shortcut
    assert not lesson.MBConv(8, 16, kernel_size=3, stride=1, expansion=6).shortcut


def test_squeeze_is_a_quarter_of_the_blocks_input(lesson):
    block = lesson.MBConv(24, 40, kernel_size=5, stride=2, expansion=6)
    assert block.squeeze_excitation.reduce.out_channels == 24 // 4
    assert block.squeeze_excitation.expand.out_channels == 6 * 24


def test_every_parameter_learns(lesson):
    """None is left over, as a convolution is that an expansion of 1 makes and never uses."""
    net = lesson.efficientnet()
    net(torch.randn(8, 3, 32, 32)).square().sum().backward()
    idle = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []

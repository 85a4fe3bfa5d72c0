"""The networks of the notebooks: all of them in general, and those with a row in ROWS against their reference.

A new notebook needs no row to be tested in general. A row holds it to a reference: as many parameters, and, with the
reference's weights, the same output.
"""

import math
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision import models
from torchvision.ops import SqueezeExcitation

from utils import lesson

NOTEBOOKS = lesson.notebooks()
pytestmark = pytest.mark.usefixtures("one_thread")


class Row(NamedTuple):
    """What a network of a notebook is held to; a row is called by the notebook's name and by what varies."""

    ours: Callable[[ModuleType], nn.Module]  # as the reference is, from what the notebook defines
    reference: str | Callable[[], nn.Module]  # a network of torchvision's
    parameters: int  # with ten classes
    last_map: tuple[int, int, int] | None = None  # of the course's network [C, H, W], for 32 x 32 images
    size: tuple[int, int] = (64, 96)  # of the images for which the outputs are compared

    def build(self, name: str) -> tuple[nn.Module, nn.Module]:
        """The notebook's network and the reference."""
        named = isinstance(self.reference, str)
        theirs = getattr(models, self.reference)(num_classes=10) if named else self.reference()
        return self.ours(lesson.networks(name.split()[0])), theirs


def se_resnet(depth: int = 18, se_stages: tuple[int, ...] = (1, 2, 3, 4)) -> nn.Module:
    """torchvision's ResNet for small images, with its own SE layer behind the last batch norm of a block."""
    net = getattr(models, f"resnet{depth}")(num_classes=10)
    net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    for number in se_stages:
        for block in getattr(net, f"layer{number}"):
            channels = block.bn2.num_features
            block.bn2 = nn.Sequential(block.bn2, SqueezeExcitation(channels, channels // 16))
    return net


def senet_34(n: ModuleType) -> nn.Module:
    return n.SENet(stages=tuple((c, k, s) for (c, _, s), k in zip(n.STAGES, (3, 4, 6, 3), strict=True)))


def grey_b0() -> nn.Module:
    net = models.efficientnet_b0(num_classes=10)
    net.features[0][0] = nn.Conv2d(1, 32, 3, 2, 1, bias=False)
    return net


def mobilenet(alpha: float) -> Callable[[ModuleType], nn.Module]:
    return lambda n: n.MobileNetV2(alpha=alpha, strides=n.IMAGENET_STRIDES)


def shufflenet(width: float) -> Callable[[ModuleType], nn.Module]:
    return lambda n: n.ShuffleNetV2(width=width, strides=n.IMAGENET_STRIDES)


def efficientnet(variant: str) -> Callable[[ModuleType], nn.Module]:
    return lambda n: n.efficientnet(variant, strides=n.IMAGENET_STRIDES)


def narrow_mobilenet() -> nn.Module:
    return models.mobilenet_v2(num_classes=10, width_mult=0.35)


ROWS = {
    "08_senet": Row(lambda n: n.SENet(), se_resnet, 11_263_042, (512, 4, 4), (16, 24)),
    "08_senet stages 1 to 3": Row(
        lambda n: n.SENet(se_stages=(1, 2, 3)), lambda: se_resnet(18, (1, 2, 3)), 11_196_418, None, (16, 24)
    ),
    "08_senet 34 layers": Row(senet_34, lambda: se_resnet(34), 21_443_318, None, (16, 24)),
    "08_senet without SE": Row(lambda n: n.SENet(stem="imagenet", se_stages=()), "resnet18", 11_181_642),
    "10_mobilenet_v2": Row(mobilenet(1.0), "mobilenet_v2", 2_236_682, (1280, 4, 4)),
    "10_mobilenet_v2 x0.35": Row(mobilenet(0.35), narrow_mobilenet, 408_938),
    "13_shufflenet_v2": Row(shufflenet(1.0), "shufflenet_v2_x1_0", 1_263_854, (1024, 4, 4)),
    "13_shufflenet_v2 x0.5": Row(shufflenet(0.5), "shufflenet_v2_x0_5", 352_042),
    "13_shufflenet_v2 x1.5": Row(shufflenet(1.5), "shufflenet_v2_x1_5", 2_488_874),
    "13_shufflenet_v2 x2.0": Row(shufflenet(2.0), "shufflenet_v2_x2_0", 5_365_486),
    "14_efficientnet": Row(efficientnet("b0"), "efficientnet_b0", 4_020_358, (1280, 4, 4)),
    "14_efficientnet b1": Row(efficientnet("b1"), "efficientnet_b1", 6_525_994),
    "14_efficientnet b2": Row(efficientnet("b2"), "efficientnet_b2", 7_715_084),
    "14_efficientnet b3": Row(efficientnet("b3"), "efficientnet_b3", 10_711_602),
    "14_efficientnet b4": Row(efficientnet("b4"), "efficientnet_b4", 17_566_546),
    "14_efficientnet b5": Row(efficientnet("b5"), "efficientnet_b5", 28_361_274, size=(128, 128)),
    "14_efficientnet b6": Row(efficientnet("b6"), "efficientnet_b6", 40_758_754, size=(128, 128)),
    "14_efficientnet b7": Row(efficientnet("b7"), "efficientnet_b7", 63_812_570, size=(128, 128)),
    "15_efficientnet_mnist": Row(lambda n: n.course_network(), grey_b0, 4_019_782, (1280, 1, 1)),
}


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def images_for(net: nn.Module, number: int, size: tuple[int, int] = (32, 32)) -> Tensor:
    """Random images with the channels that the network's first convolution takes."""
    channels = next(m.in_channels for m in net.modules() if isinstance(m, nn.Conv2d))
    return torch.randn(number, channels, *size)


def lively(net: nn.Module, images: Tensor) -> nn.Module:
    """Weights, biases and norms as after training: no part of the network can hide behind a 0 or a 1."""
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for weights in net.parameters():
            weights.normal_(0, (2 / weights[0].numel()) ** 0.5 if weights.ndim > 1 else 1)
        for module in norms:
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.1)
        momenta = [module.momentum for module in norms]
        net.eval()
        for module in norms:
            module.train().momentum = 1.0  # take the averages of these images
        net(images)
        for module, momentum in zip(norms, momenta, strict=True):
            module.eval().momentum = momentum
    return net


def with_weights_of(net: nn.Module, reference: nn.Module) -> nn.Module:
    """The same tensors in the same order; a linear layer takes those of a 1 x 1 convolution."""
    ours, theirs = net.state_dict(), list(reference.state_dict().values())
    weights = [t.flatten(1) if ours[name].ndim == 2 else t for name, t in zip(ours, theirs, strict=True)]
    assert [t.shape for t in ours.values()] == [t.shape for t in weights]
    net.load_state_dict(dict(zip(ours, weights, strict=True)))
    return net.eval()


def settings(net: nn.Module) -> list:
    """What weights do not show, in order: strides and groups, norms, dropout and stochastic depth."""
    modules = list(net.modules())
    found = [(m.kernel_size, m.stride, m.groups, m.padding) for m in modules if isinstance(m, nn.Conv2d)]
    found += [(m.eps, m.momentum) for m in modules if isinstance(m, nn.BatchNorm2d)]
    found += [m.p for m in modules if isinstance(m, nn.Dropout)]
    depths = [m for m in modules if type(m).__name__ == "StochasticDepth"]
    return found + [round(getattr(m, "p", getattr(m, "drop_rate", 0)), 6) for m in depths]


@pytest.fixture
def unfilled(monkeypatch) -> None:
    """New networks get no first weights, which would take most of the time of these tests."""
    for name in dir(nn.init):
        if name.endswith("_") and not name.startswith("_"):
            monkeypatch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)


# --- every notebook that defines a network, with a row or without ---------------------------------------------


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_network_gives_ten_logits_and_every_parameter_learns(name):
    """None is left over, as a convolution is that is made and never used."""
    assert {"title", "experiment"} <= set(lesson.metadata(name)), "the notebook's metadata, for README"
    net = lesson.build(name)
    images = images_for(net, 8)
    outputs = lively(net, images).train()(images)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)  # auxiliary heads come after the logits
    assert outputs[0].shape == (8, 10)
    sum(F.cross_entropy(logits, torch.arange(8)) for logits in outputs).backward()
    assert [key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_in_testing_nothing_is_random_and_images_do_not_mix(name):
    net = lesson.build(name)
    lively(net, images := images_for(net, 2))
    with torch.inference_mode():
        logits = net(images)
        assert logits.shape == (2, 10)
        assert torch.equal(logits, net(images)), "dropout or stochastic depth is still on"
        apart = torch.cat([net(image) for image in images.split(1)])
        assert (apart - logits).abs().max() < 1e-4 * logits.abs().max()


@pytest.mark.usefixtures("unfilled")
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_number_of_classes_can_be_chosen(name):
    with torch.device("meta"):
        net = lesson.networks(name).course_network(classes=7)
        assert net.eval()(images_for(net, 2)).shape == (2, 7)


# --- against the references -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("unfilled")
@pytest.mark.parametrize("name", ROWS)
def test_parameters_and_settings_equal_the_references(name):
    with torch.device("meta"):
        ours, theirs = ROWS[name].build(name)
        assert count(ours) == count(theirs) == ROWS[name].parameters
        if name in NOTEBOOKS:  # what the notebook trains: its strides are others, its parameters are not
            assert count(lesson.build(name)) == ROWS[name].parameters
    if "senet" not in name:  # there, linear layers stand in for convolutions
        assert settings(ours) == settings(theirs)


@pytest.mark.usefixtures("unfilled")
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.by_hand if n.endswith(("b5", "b6", "b7")) else ()) for n in ROWS],
)
def test_same_output_as_the_reference_with_its_weights(name):
    ours, reference = ROWS[name].build(name)
    images = images_for(reference, 2, ROWS[name].size)
    with_weights_of(ours, lively(reference, images))
    with torch.inference_mode():
        expected, found = reference(images), ours(images)
    assert 0.05 < expected.std() < 10, "an output near 0 would prove nothing, a huge one be all rounding"
    assert (expected[0] - expected[1]).abs().max() > 0.01
    assert (found - expected).abs().max() < 1e-4


@pytest.mark.usefixtures("unfilled")
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.last_map])
def test_the_last_map_for_32_pixels(name):
    net, maps = lesson.build(name).eval(), []
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda _, __, output: maps.append(tuple(output.shape[1:])))
    net(images_for(net, 1))
    assert maps[-1] == ROWS[name].last_map


# --- what single networks have of their own -----------------------------------------------------------------------


def pre_activation_by_hand(w: dict[str, Tensor], x: Tensor) -> Tensor:
    """The pre-activation SENet-18 as a formula over its weights, with no module in it."""

    def norm_relu(x: Tensor, name: str) -> Tensor:
        parts = ("running_mean", "running_var", "weight", "bias")
        return F.relu(F.batch_norm(x, *(w[f"{name}.{part}"] for part in parts)))

    x = F.conv2d(x, w["stem.0.weight"], padding=1)
    for stage in range(4):
        for block in range(2):
            name, stride = f"stages.{stage}.{block}", 2 if stage and not block else 1
            active = norm_relu(x, f"{name}.norm1")
            u = F.conv2d(active, w[f"{name}.conv1.weight"], stride=stride, padding=1)
            u = F.conv2d(norm_relu(u, f"{name}.norm2"), w[f"{name}.conv2.weight"], padding=1)
            z = F.relu(F.linear(u.mean((2, 3)), w[f"{name}.se.reduce.weight"], w[f"{name}.se.reduce.bias"]))
            s = F.linear(z, w[f"{name}.se.expand.weight"], w[f"{name}.se.expand.bias"]).sigmoid()
            shortcut = F.conv2d(active, w[f"{name}.shortcut.weight"], stride=stride) if stride == 2 else x
            x = shortcut + u * s[:, :, None, None]
    return F.linear(norm_relu(x, "last.0").mean((2, 3)), w["classifier.weight"], w["classifier.bias"])


def test_senet_with_pre_activation_is_its_formula():
    net = lesson.networks("08_senet").SENet(variant="pre-activation")
    assert count(net) == 11_261_250
    images = torch.randn(2, 3, 16, 24)
    lively(net, images)
    with torch.inference_mode():
        assert (net(images) - pre_activation_by_hand(net.state_dict(), images)).abs().max() < 1e-4


def test_senet_gates_act_on_the_branch_and_not_on_the_shortcut():
    n, x = lesson.networks("08_senet"), torch.randn(2, 32, 8, 8)
    for block, expected in [(n.BasicBlock(32, 32), torch.relu(x)), (n.PreActivationBlock(32, 32), x)]:
        assert not torch.allclose(block(x), expected)
        nn.init.zeros_(block.se.expand.weight)
        nn.init.constant_(block.se.expand.bias, -200)  # gates of 0
        torch.testing.assert_close(block(x), expected)


def test_senet_inception_block_gates_the_joined_channels():
    n, sizes = lesson.networks("08_senet"), {"one": 16, "three": (8, 24), "five": (4, 12), "pool": 12}
    gated = n.InceptionBlock(20, **sizes).eval()
    x = torch.randn(2, 20, 7, 9)
    u = torch.cat([branch(x) for branch in gated.branches], dim=1)
    assert u.shape == (2, 64, 7, 9)
    torch.testing.assert_close(gated(x), gated.se(u))
    assert not torch.allclose(gated(x), u)


def test_mobilenet_v2_rounds_channels_and_keeps_the_bottleneck_linear():
    n = lesson.networks("10_mobilenet_v2")
    assert [n.round_channels(c) for c in (1, 8, 11.2, 12, 19, 35, 44.8)] == [8, 8, 16, 16, 24, 32, 48]
    block = n.InvertedResidual(8, 16, stride=1, expansion=6)
    assert block(torch.randn(4, 8, 8, 8)).min() < 0, "a ReLU at the end would leave nothing below 0"


@pytest.mark.parametrize(("channels", "groups"), [(8, 2), (12, 3), (240, 8)])
def test_shuffle_is_a_permutation_that_its_inverse_undoes(channels, groups):
    shuffle, x = lesson.networks("13_shufflenet_v2").channel_shuffle, torch.randn(2, channels, 3, 5)
    assert not torch.equal(shuffle(x, groups), x)
    assert torch.equal(shuffle(x, groups), F.channel_shuffle(x, groups))
    assert torch.equal(shuffle(shuffle(x, groups), channels // groups), x)


def test_shufflenet_v2_unit_passes_one_half_and_changes_the_other():
    x = torch.randn(2, 24, 8, 8)
    y = lesson.networks("13_shufflenet_v2").BasicUnit(24)(x)
    assert torch.equal(y[:, ::2], x[:, :12])
    assert not torch.isclose(y[:, 1::2], x[:, 12:]).any(dim=(2, 3)).all()


@pytest.mark.usefixtures("unfilled")
def test_efficientnet_rounds_as_the_paper_and_truncating_turns_b1_to_b4_into_b0():
    n = lesson.networks("14_efficientnet")
    widths = [(32, 1.1), (24, 1.2), (32, 1.8), (1280, 2.0), (16, 1.2)]
    assert [n.round_width(*pair) for pair in widths] == [32, 32, 56, 2560, 24]  # 16 would be 83 % of 19.2
    assert [n.round_depth(k, d) for k, d in ((1, 1.1), (2, 1.1), (3, 1.1), (4, 2.6))] == [2, 3, 4, 11]
    for width, depth, *_ in (n.VARIANTS["b1"], n.VARIANTS["b4"]):
        with torch.device("meta"):
            truncated = n.EfficientNet(int(width), math.floor(depth))
        assert count(truncated) == ROWS["14_efficientnet"].parameters


def test_stochastic_depth_drops_whole_images_and_keeps_the_mean():
    depth = lesson.networks("14_efficientnet").StochasticDepth(0.2)
    branch = torch.randn(2000, 2, 3, 3)
    out = depth(branch)
    dropped = (out == 0).flatten(1).all(1)
    assert 300 < dropped.sum() < 500
    torch.testing.assert_close(out[~dropped], branch[~dropped] / 0.8)

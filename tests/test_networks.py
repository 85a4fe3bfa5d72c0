"""The networks of the notebooks: all of them in general, some of them against a reference.

A new notebook needs no row in ROWS to be tested in general. A row holds it to a reference: as many
parameters, and, with the reference's weights, the same output.
"""

import math
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from pytorchcv.model_provider import get_model
from torch import Tensor, nn
from torchvision import models
from torchvision.ops import SqueezeExcitation

from utils import lesson

NOTEBOOKS = lesson.notebooks()
pytestmark = pytest.mark.usefixtures("one_thread")


class Row(NamedTuple):
    """What a network is held to; a row is called by the notebook's name and by what varies."""

    ours: Callable[[ModuleType], nn.Module]  # as the reference is, from what the notebook defines
    reference: str | Callable[[], nn.Module]  # a network of torchvision's
    parameters: int  # with ten classes
    last_map: tuple[int, int, int] | None = None  # [C, H, W] of the course's, for 32 x 32 images
    size: tuple[int, int] = (64, 96)  # of the images for which the outputs are compared

    def build(self, name: str) -> tuple[nn.Module, nn.Module]:
        """The notebook's network and the reference."""
        named = isinstance(self.reference, str)
        theirs = getattr(models, self.reference)(num_classes=10) if named else self.reference()
        return self.ours(lesson.networks(name.split()[0])), theirs


def se_resnet(depth: int = 18, se_stages: tuple[int, ...] = (1, 2, 3, 4)) -> nn.Module:
    """torchvision's ResNet for small images, with its own SE layer behind a block's last norm."""
    net = getattr(models, f"resnet{depth}")(num_classes=10)
    net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    for number in se_stages:
        for block in getattr(net, f"layer{number}"):
            channels = block.bn2.num_features
            block.bn2 = nn.Sequential(block.bn2, SqueezeExcitation(channels, channels // 16))
    return net


def senet_34(n: ModuleType) -> nn.Module:
    return n.SENet(
        stages=tuple((c, k, s) for (c, _, s), k in zip(n.STAGES, (3, 4, 6, 3), strict=True))
    )


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


def pytorchcv(name: str) -> Callable[[], nn.Module]:
    """A network of pytorchcv, of its CIFAR-10 forms."""
    return lambda: get_model(name, num_classes=10)


def torchvision_googlenet(**options: bool) -> Callable[[], nn.Module]:
    return lambda: models.googlenet(num_classes=10, init_weights=False, **options)


def alexnet(n: ModuleType) -> nn.Module:
    return n.AlexNet(stem=(11, 4, 2), hidden=4096, last=6)


def vgg(column: str, batch_norm: bool) -> Callable[[ModuleType], nn.Module]:
    return lambda n: n.VGG(column, batch_norm=batch_norm, imagenet_head=True)


def resnext_50(n: ModuleType) -> nn.Module:
    return n.ResNeXt(32, 4, blocks=(3, 4, 6, 3), strides=(1, 2, 2, 2), imagenet=True)


ROWS = {
    "02_alexnet ImageNet": Row(alexnet, "alexnet", 57_044_810, size=(224, 224)),
    "03_vgg A, ImageNet": Row(vgg("A", True), "vgg11_bn", 128_812_810, size=(64, 64)),
    "03_vgg D, ImageNet": Row(vgg("D", True), "vgg16_bn", 134_309_962, size=(64, 64)),
    "03_vgg D without batch norm": Row(vgg("D", False), "vgg16", 134_301_514, size=(64, 64)),
    "04_googlenet ImageNet": Row(
        lambda n: n.GoogLeNet(imagenet=True), torchvision_googlenet(aux_logits=False), 5_610_154
    ),
    "05_resnet B": Row(
        lambda n: n.ResNet(option="B"), pytorchcv("resnet20_cifar10"), 272_474, None, (32, 32)
    ),
    "05_resnet B, 56": Row(
        lambda n: n.ResNet(56, option="B"), pytorchcv("resnet56_cifar10"), 855_770, None, (32, 32)
    ),
    "06_resnext 32 x 4d": Row(
        lambda n: n.ResNeXt(32, 4, strides=(1, 2, 2)),
        pytorchcv("resnext29_32x4d_cifar10"),
        4_775_754,
        None,
        (32, 32),
    ),
    "06_resnext 50 layers": Row(resnext_50, "resnext50_32x4d", 23_000_394),
    "07_densenet": Row(
        lambda n: n.DenseNet(), pytorchcv("densenet40_k12_bc_cifar10"), 176_122, None, (32, 32)
    ),
    "07_densenet L = 100": Row(
        lambda n: n.DenseNet(100), pytorchcv("densenet100_k12_bc_cifar10"), 769_162, None, (32, 32)
    ),
    "08_senet": Row(lambda n: n.SENet(), se_resnet, 11_263_042, (512, 4, 4), (16, 24)),
    "08_senet stages 1 to 3": Row(
        lambda n: n.SENet(se_stages=(1, 2, 3)),
        lambda: se_resnet(18, (1, 2, 3)),
        11_196_418,
        None,
        (16, 24),
    ),
    "08_senet 34 layers": Row(senet_34, lambda: se_resnet(34), 21_443_318, None, (16, 24)),
    "08_senet without SE": Row(
        lambda n: n.SENet(stem="imagenet", se_stages=()), "resnet18", 11_181_642
    ),
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
    """Weights, biases and norms as after training: no part can hide behind a 0 or a 1."""
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
    weights = [
        t.flatten(1) if ours[name].ndim == 2 else t for name, t in zip(ours, theirs, strict=True)
    ]
    assert [t.shape for t in ours.values()] == [t.shape for t in weights]
    net.load_state_dict(dict(zip(ours, weights, strict=True)))
    return net.eval()


def settings(net: nn.Module) -> list:
    """What weights do not show, in order: strides, groups, norms, dropout, stochastic depth."""
    modules = list(net.modules())
    found = [
        (m.kernel_size, m.stride, m.groups, m.padding) for m in modules if isinstance(m, nn.Conv2d)
    ]
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


# --- every notebook that defines a network, with a row or without ---------------------------------


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_network_gives_ten_logits_and_every_parameter_learns(name):
    """None is left over, as a convolution is that is made and never used."""
    about = lesson.metadata(name)
    assert {"title", "experiment"} <= about.keys(), "the notebook's metadata, for README"
    net = lesson.build(name)
    images = images_for(net, 8)
    outputs = lively(net, images).train()(images)
    if not isinstance(outputs, tuple):  # auxiliary heads come after the logits
        outputs = (outputs,)
    assert outputs[0].shape == (8, 10)
    sum(F.cross_entropy(logits, torch.arange(8)) for logits in outputs).backward()
    assert [key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_in_testing_nothing_is_random_and_images_do_not_mix(name):
    net = lesson.build(name)
    images = images_for(net, 2)
    lively(net, images)
    with torch.inference_mode():
        logits = net(images)
        assert logits.shape == (2, 10)
        assert torch.equal(logits, net(images)), "dropout or stochastic depth is still on"
        apart = torch.cat([net(image) for image in images.split(1)])
        difference = (apart - logits).abs().max()
        assert difference < 1e-3 * logits.abs().max()  # processors round differently


@pytest.mark.usefixtures("unfilled")
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_number_of_classes_can_be_chosen(name):
    with torch.device("meta"):
        net = lesson.networks(name).course_network(classes=7)
        assert net.eval()(images_for(net, 2)).shape == (2, 7)


# --- against the references -----------------------------------------------------------------------


@pytest.mark.usefixtures("unfilled")
@pytest.mark.parametrize("name", ROWS)
def test_parameters_and_settings_equal_the_references(name):
    with torch.device("meta"):
        ours, theirs = ROWS[name].build(name)
        assert count(ours) == count(theirs) == ROWS[name].parameters
        if (
            name in NOTEBOOKS
        ):  # what the notebook trains: its strides are others, its parameters are not
            assert count(lesson.build(name)) == ROWS[name].parameters
    if "senet" not in name:  # there, linear layers stand in for convolutions
        assert settings(ours) == settings(theirs)


@pytest.mark.usefixtures("unfilled")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.by_hand if n.endswith(("b5", "b6", "b7")) else ())
        for n in ROWS
    ],
)
def test_same_output_as_the_reference_with_its_weights(name):
    ours, reference = ROWS[name].build(name)
    images = images_for(reference, 2, ROWS[name].size)
    with_weights_of(ours, lively(reference, images))
    with torch.inference_mode():
        expected, found = reference(images), ours(images)
    assert 0.05 < expected.std() < 10, (
        "an output near 0 would prove nothing, a huge one be all rounding"
    )
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


COUNTS = {  # with ten classes; the papers' own numbers where they print them
    "01_lenet": [({}, 62_006)],
    "02_alexnet": [({}, 5_871_434)],
    "03_vgg": [({}, 9_231_114), ({"column": "D"}, 14_728_266)],
    "04_googlenet": [
        ({}, 5_602_474),
        ({"large": 5}, 5_983_402),
        ({"imagenet": True, "heads": True}, 9_960_638),
    ],
    "05_resnet": [({}, 269_722), ({"depth": 56}, 853_018), ({"depth": 110}, 1_727_962)],
    "06_resnext": [({}, 2_736_970), ({"cardinality": 8, "width": 64}, 34_426_698)],
}


@pytest.mark.usefixtures("unfilled")
@pytest.mark.parametrize("name", COUNTS)
def test_parameters(name):
    n = lesson.networks(name)
    kind = type(n.course_network())
    with torch.device("meta"):
        for arguments, expected in COUNTS[name]:
            assert count(kind(**arguments)) == expected, arguments


# --- what single networks have of their own -------------------------------------------------------


def test_lenet_of_1998_has_the_papers_weights_and_its_table():
    n = lesson.networks("01_lenet")
    old = n.LeNet5(in_channels=1, activation=n.ScaledTanh, old_pool=True, table=True, codes=True)
    assert count(old) == 60_000
    assert [len(maps) for maps in n.TABLE] == [3] * 6 + [4] * 9 + [6]
    seen = torch.tensor([[m in maps for m in range(6)] for maps in n.TABLE])
    assert seen.sum(0).tolist() == [10] * 6, (
        "each map is read by ten filters, as in the paper's Table I"
    )
    full, sparse, x = nn.Conv2d(6, 16, 5), n.TableConv(), torch.randn(2, 6, 14, 14)
    nn.init.zeros_(full.weight)
    with torch.no_grad():
        for k, (f, maps) in enumerate(zip(sparse.filters, n.TABLE, strict=True)):
            full.weight[k, list(maps)], full.bias[k] = f.weight[0], f.bias[0]
    torch.testing.assert_close(sparse(x), full(x))


def test_googlenet_with_heads_is_torchvisions():
    ours = lesson.networks("04_googlenet").GoogLeNet(imagenet=True, heads=True)
    theirs, images = (
        torchvision_googlenet(aux_logits=True, transform_input=False)(),
        torch.randn(2, 3, 64, 64),
    )
    with_weights_of(ours, lively(theirs, images))
    with torch.inference_mode():
        assert (ours(images) - theirs(images)).abs().max() < 1e-4


def test_resnet_shortcut_a_keeps_every_second_pixel_between_zeros():
    block, x = (
        lesson.networks("05_resnet").ResidualBlock(16, 32, stride=2),
        torch.randn(2, 16, 8, 8),
    )
    y = block.shortcut(x)
    assert torch.equal(y[:, 8:24], x[:, :, ::2, ::2])
    assert not y[:, :8].any()
    assert not y[:, 24:].any()


def test_senet_gates_act_on_the_branch_and_not_on_the_shortcut():
    block, x = lesson.networks("08_senet").BasicBlock(32, 32), torch.randn(2, 32, 8, 8)
    assert not torch.allclose(block(x), torch.relu(x))
    nn.init.zeros_(block.se.expand.weight)
    nn.init.constant_(block.se.expand.bias, -200)  # gates of 0
    torch.testing.assert_close(block(x), torch.relu(x))


def test_mobilenet_v2_rounds_channels_and_keeps_the_bottleneck_linear():
    n = lesson.networks("10_mobilenet_v2")
    assert [n.round_channels(c) for c in (1, 8, 11.2, 12, 19, 35, 44.8)] == [
        8,
        8,
        16,
        16,
        24,
        32,
        48,
    ]
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
    assert [n.round_width(*pair) for pair in widths] == [
        32,
        32,
        56,
        2560,
        24,
    ]  # 16 would be 83 % of 19.2
    assert [n.round_depth(k, d) for k, d in ((1, 1.1), (2, 1.1), (3, 1.1), (4, 2.6))] == [
        2,
        3,
        4,
        11,
    ]
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


def test_speed_run_is_its_formula():
    net, images = lesson.networks("21_speed_run").course_network(), torch.randn(4, 3, 32, 32)
    assert count(net) + net.whiten.weight.numel() == 1_971_640  # as published
    lively(net, images)
    w = net.state_dict()
    x = F.gelu(F.conv2d(images, w["whiten.weight"], w["whiten.bias"]))
    for group in range(3):
        for conv, norm in ((0, 2), (4, 5)):
            x = F.conv2d(x, w[f"groups.{group}.{conv}.weight"], padding=1)
            x = x if conv else F.max_pool2d(x, 2)
            parts = ("running_mean", "running_var", "weight", "bias")
            parts = (w[f"groups.{group}.{norm}.{part}"] for part in parts)
            x = F.gelu(F.batch_norm(x, *parts, eps=1e-12))
    expected = F.linear(x.amax((2, 3)), w["head.weight"]) / 256
    with torch.inference_mode():
        assert (net(images) - expected).abs().max() < 1e-4


def test_speed_run_whitens_patches_and_starts_as_an_identity():
    n = lesson.networks("21_speed_run")
    net, images = n.course_network(), F.interpolate(torch.randn(64, 3, 9, 9), 32, mode="bicubic")
    n.set_whitening(net, images)
    assert torch.equal(net.whiten.weight[12:], -net.whiten.weight[:12])
    whitened = F.conv2d(images, net.whiten.weight[:4]).transpose(0, 1).flatten(1)
    assert (whitened @ whitened.T / whitened.shape[1] - torch.eye(4)).abs().max() < 0.02
    for conv in (net.groups[0][0], net.groups[1][4]):
        x = torch.randn(2, conv.in_channels, 7, 7)
        assert torch.allclose(conv(x)[:, : conv.in_channels], x, atol=1e-5)

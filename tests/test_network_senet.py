"""SENet of the notebook against torchvision's ResNet and its SE layer."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from utils.lesson import networks

PARAMETERS = {"basic": 11_263_042, "pre-activation": 11_261_250}


@pytest.fixture(scope="module")
def lesson():
    return networks("08_senet")


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def with_weights_of(net: nn.Module, reference: nn.Module) -> nn.Module:
    """The same tensors in the same order; a linear layer takes those of a 1 x 1 convolution."""
    ours, theirs = net.state_dict(), list(reference.state_dict().values())
    net.load_state_dict({name: t.flatten(1) if t.ndim == 4 and ours[name].ndim == 2 else t
                         for name, t in zip(ours, theirs, strict=True)})  # fmt: skip
    return net.eval()


def lively(net: nn.Module) -> nn.Module:
    """Random batch norms and larger linear weights, so that no part can hide behind a 0, a 1 or a gate of 0.5."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.05)
        if isinstance(module, torchvision.ops.SqueezeExcitation):
            nn.init.normal_(module.fc1.weight, 0, 0.5)
            nn.init.normal_(module.fc2.weight, 0, 0.5)
    return net.eval()


def torchvision_resnet(
    name: str = "resnet18", stem: str = "imagenet", se_stages: tuple = (), classes: int = 10
) -> nn.Module:
    """torchvision's ResNet, with its own SE layer behind the last batch norm of each block of these stages."""
    net = getattr(torchvision.models, name)(num_classes=classes)
    if stem == "cifar":
        net.conv1, net.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    for number in se_stages:
        for block in getattr(net, f"layer{number}"):
            channels = block.bn2.num_features
            block.bn2 = nn.Sequential(block.bn2, torchvision.ops.SqueezeExcitation(channels, channels // 16))
    return lively(net)


def assert_same_output(net: nn.Module, reference: nn.Module, images: torch.Tensor) -> None:
    with torch.inference_mode():
        ours, theirs = net(images), reference(images)
    assert theirs.abs().max() > 0.1, "an output that is all but 0 would prove nothing"
    assert (ours - theirs).abs().max() < 1e-4


# --- the SE block ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 64, 8, 8), (2, 64, 5, 12), (1, 64, 12, 5)])
def test_se_block_is_that_of_torchvision(lesson, shape):
    torch.manual_seed(0)
    reference = torchvision.ops.SqueezeExcitation(64, 4)
    nn.init.normal_(reference.fc2.weight, 0, 2)
    block = with_weights_of(lesson.SqueezeExcitation(64), reference)
    assert count(block) == count(reference) == 580
    maps = torch.randn(shape)
    torch.testing.assert_close(block(maps), reference(maps))


def test_se_block_by_hand(lesson):
    block = lesson.SqueezeExcitation(2, reduction=1)
    with torch.no_grad():
        block.reduce.weight.copy_(torch.eye(2))
        block.reduce.bias.copy_(torch.tensor([0.0, -5.0]))  # ReLU shuts the second hidden unit
        block.expand.weight.copy_(torch.tensor([[1.0, 1.0], [-1.0, 1.0]]))
        block.expand.bias.zero_()
    maps = torch.tensor([[[[1.0, 3.0]], [[4.0, 0.0]]]])  # means 2 and 2
    gates = torch.sigmoid(torch.tensor([2.0, -2.0]))
    torch.testing.assert_close(block(maps), maps * gates.view(1, 2, 1, 1))


def test_gates_are_independent_of_the_batch(lesson):
    block = lesson.SqueezeExcitation(32)
    maps = 5 * torch.randn(4, 32, 6, 6)
    alone = torch.cat([block(one) for one in maps.split(1)])
    torch.testing.assert_close(block(maps), alone)


@pytest.mark.parametrize("reduction", [0, -1, 33])
def test_impossible_reduction_is_refused(lesson, reduction):
    with pytest.raises(ValueError, match=f"reduction of 32 channels is from 1 to 32, not {reduction}"):
        lesson.SqueezeExcitation(32, reduction)


# --- SE in three blocks ------------------------------------------------------------------------------------


def shut(module: nn.Module) -> None:
    nn.init.zeros_(module.expand.weight)
    nn.init.constant_(module.expand.bias, -200)


def test_gates_act_on_the_branch_and_not_on_the_shortcut(lesson):
    x = torch.randn(2, 32, 8, 8)
    for block, expected in [
        (lesson.BasicBlock(32, 32), torch.relu(x)),
        (lesson.PreActivationBlock(32, 32), x),
    ]:
        assert not torch.allclose(block(x), expected)
        shut(block.se)
        torch.testing.assert_close(block(x), expected)


def test_inception_block_gates_the_joined_channels(lesson):
    torch.manual_seed(0)
    sizes = {"one": 16, "three": (8, 24), "five": (4, 12), "pool": 12}
    gated, plain = lesson.InceptionBlock(20, **sizes), lesson.InceptionBlock(20, **sizes, reduction=None)
    plain.load_state_dict({k: v for k, v in gated.state_dict().items() if not k.startswith("se.")})
    x = torch.randn(2, 20, 7, 9)
    u = plain.eval()(x)
    assert u.shape == (2, 64, 7, 9)
    assert torch.equal(u, torch.cat([branch(x) for branch in plain.branches], dim=1))
    torch.testing.assert_close(gated.eval()(x), gated.se(u))
    assert count(gated) - count(plain) == 2 * 64 * 64 // 16 + 64 // 16 + 64


def test_inception_block_at_the_numbers_of_googlenet(lesson):
    block = lesson.InceptionBlock(192, one=64, three=(96, 128), five=(16, 32), pool=32, reduction=None)
    kernels = [m.kernel_size[0] for m in block.modules() if isinstance(m, nn.Conv2d)]
    assert kernels == [1, 1, 3, 1, 5, 1]
    assert block(torch.randn(2, 192, 28, 28)).shape == (2, 256, 28, 28)


# --- the network -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", PARAMETERS)
@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
def test_parameters(lesson, variant, stem):
    difference = {"cifar": 0, "imagenet": 64 * 3 * (7 * 7 - 3 * 3)}[stem]
    with torch.device("meta"):
        assert count(lesson.SENet(variant=variant, stem=stem)) == PARAMETERS[variant] + difference


@pytest.mark.parametrize("variant", PARAMETERS)
def test_parameters_of_se_by_stage(lesson, variant):
    with torch.device("meta"):
        plain = count(lesson.SENet(variant=variant, se_stages=()))
        for number, channels in enumerate((64, 128, 256, 512), start=1):
            two_blocks = 2 * (2 * channels**2 // 16 + channels // 16 + channels)
            assert count(lesson.SENet(variant=variant, se_stages=(number,))) - plain == two_blocks
        assert PARAMETERS[variant] - plain == 89_080


@pytest.mark.parametrize("stem", ["cifar", "imagenet"])
@pytest.mark.parametrize("se_stages", [(), (1, 2, 3), (1, 2, 3, 4)], ids=str)
def test_same_output_as_torchvision_with_the_same_weights(lesson, stem, se_stages):
    reference = torchvision_resnet("resnet18", stem, se_stages)
    net = with_weights_of(lesson.SENet(stem=stem, se_stages=se_stages), reference)
    assert count(net) == count(reference)
    assert_same_output(net, reference, torch.randn(2, 3, *((96, 160) if stem == "imagenet" else (32, 32))))


def test_same_output_as_torchvision_at_its_imagenet_setting(lesson):
    reference = torchvision_resnet(classes=1000)
    net = with_weights_of(lesson.SENet(classes=1000, stem="imagenet", se_stages=()), reference)
    assert count(net) == 11_689_512
    assert_same_output(net, reference, torch.randn(1, 3, 224, 224))


def test_a_deeper_table_gives_a_deeper_network(lesson):
    stages = tuple((c, n, s) for (c, _, s), n in zip(lesson.STAGES, (3, 4, 6, 3), strict=True))
    reference = torchvision_resnet("resnet34", "cifar", (1, 2, 3, 4))
    net = with_weights_of(lesson.SENet(stages=stages), reference)
    assert_same_output(net, reference, torch.randn(1, 3, 32, 32))


def pre_activation_by_hand(w: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The pre-activation SENet-18 as a formula over its weights, with no module in it."""

    def norm_relu(x, name):
        statistics = (w[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.relu(F.batch_norm(x, *statistics))

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
    x = norm_relu(x, "last.0").mean((2, 3))
    return F.linear(x, w["classifier.weight"], w["classifier.bias"])


def test_pre_activation_by_hand(lesson):
    net = lively(lesson.SENet(variant="pre-activation"))
    weights = net.state_dict()
    assert_same_output(net, lambda images: pre_activation_by_hand(weights, images), torch.randn(2, 3, 32, 32))


def test_one_batch_norm_before_the_first_convolution_of_a_block(lesson):
    assert [type(m) for m in lesson.SENet(variant="pre-activation").stem] == [nn.Conv2d]
    assert [type(m) for m in lesson.SENet(variant="pre-activation").last] == [nn.BatchNorm2d, nn.ReLU]
    assert [type(m) for m in lesson.SENet().stem] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert len(lesson.SENet().last) == 0


@pytest.mark.parametrize("variant", PARAMETERS)
def test_last_map_for_32_pixels(lesson, variant):
    images = torch.randn(2, 3, 32, 32)
    for stem, size in (("cifar", 4), ("imagenet", 1)):
        net = lesson.SENet(variant=variant, stem=stem).eval()
        assert net.stages(net.stem(images)).shape == (2, 512, size, size)


@pytest.mark.parametrize("variant", PARAMETERS)
def test_every_parameter_learns(lesson, variant):
    torch.manual_seed(0)
    net = lesson.SENet(variant=variant, classes=3, in_channels=1)
    logits = net(torch.randn(4, 1, 16, 16))
    assert logits.shape == (4, 3)
    F.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_initial_weights_keep_the_variance(lesson):
    torch.manual_seed(0)
    conv = lesson.SENet().stages[3][1].conv1
    assert conv.weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)


# --- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stem", "smallest"), [("cifar", 8), ("imagenet", 32)])
def test_the_smallest_picture(lesson, stem, smallest):
    net = lesson.SENet(stem=stem).eval()
    assert net(torch.randn(1, 3, smallest, smallest)).shape == (1, 10)
    with pytest.raises(ValueError, match=rf"Give images \[N, 3, H, W\] of at least {smallest} pixels a side"):
        net(torch.randn(1, 3, smallest, smallest - 1))


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (1, 4, 32, 32), (1, 3, 7, 32), (3, 32, 32), (1, 3, 32)])
def test_wrong_input_is_refused(lesson, shape):
    with pytest.raises(ValueError, match=rf"Give images \[N, 3, H, W\].* not \[{shape[0]}, {shape[1]}, "):
        lesson.SENet()(torch.randn(shape))


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"variant": "bottleneck"}, "no variant 'bottleneck': choose 'basic' or 'pre-activation'"),
        ({"stem": "mnist"}, "no stem 'mnist': choose 'imagenet' or 'cifar'"),
        ({"se_stages": (4, 5)}, r"se_stages is \(4, 5\): name stages from 1 to 4"),
        ({"se_stages": (0,)}, r"se_stages is \(0,\): name stages from 1 to 4"),
        ({"reduction": 128}, "reduction of 64 channels is from 1 to 64, not 128"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_unknown_choice_is_refused(lesson, choice, message):
    with pytest.raises(ValueError, match=message):
        lesson.SENet(**choice)

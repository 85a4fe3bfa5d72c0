"""ShuffleNet v2 of the notebook against torchvision's, and the tools of its experiments."""

import time

import pytest
import torch
import torchvision
from reference import count, lively, with_weights_of
from torch import nn

from utils import config, plot
from utils.lesson import cells, networks

NOTEBOOK = "13_shufflenet_v2"
COUNTS = {0.5: 352_042, 1.0: 1_263_854, 1.5: 2_488_874, 2.0: 5_365_486}  # at ten classes


@pytest.fixture(scope="module")
def lesson():
    return networks(NOTEBOOK)


@pytest.fixture
def tools(lesson) -> dict:
    """What the cells tagged `experiment` define: work, time_in_turn, compare and verdict."""
    names = dict(vars(lesson), config=config, plot=plot, time=time)
    for source in cells(NOTEBOOK, "experiment"):
        exec(source, names)
    return names


def torchvision_net(width: float, classes: int = 1000) -> nn.Module:
    name = f"shufflenet_v2_x{width:.1f}".replace(".", "_")
    return torchvision.models.get_model(name, num_classes=classes)


def one_sentence(error: pytest.ExceptionInfo) -> bool:
    text = str(error.value)
    return text.endswith(".") and "\n" not in text and text.count(". ") == 0


# --- split and shuffle ------------------------------------------------------------------------------------


def test_split_gives_the_two_halves(lesson):
    left, right = lesson.channel_split(torch.arange(8).view(1, 8, 1, 1))
    assert left.flatten().tolist() == [0, 1, 2, 3]
    assert right.flatten().tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize(
    ("groups", "order"),
    [(1, [0, 1, 2, 3, 4, 5]), (2, [0, 3, 1, 4, 2, 5]), (3, [0, 2, 4, 1, 3, 5]), (6, [0, 1, 2, 3, 4, 5])],
)
def test_shuffle_on_numbers(lesson, groups, order):
    x = torch.arange(6).view(1, 6, 1, 1)
    assert lesson.channel_shuffle(x, groups).flatten().tolist() == order


@pytest.mark.parametrize(("channels", "groups"), [(8, 2), (12, 3), (240, 8), (116, 2), (976, 2)])
def test_shuffle_is_undone_by_its_inverse(lesson, channels, groups):
    x = torch.randn(2, channels, 3, 5)
    shuffled = lesson.channel_shuffle(x, groups)
    assert not torch.equal(shuffled, x)
    assert torch.equal(lesson.channel_shuffle(shuffled, channels // groups), x)
    assert torch.equal(shuffled, nn.functional.channel_shuffle(x, groups))


def test_shuffle_does_not_depend_on_the_memory_layout(lesson):
    x = torch.randn(2, 12, 4, 4)
    last = x.to(memory_format=torch.channels_last)
    assert torch.equal(lesson.channel_shuffle(last), lesson.channel_shuffle(x))


@pytest.mark.parametrize(("channels", "groups"), [(8, 3), (7, 2), (8, 0), (8, -2)])
def test_groups_that_do_not_divide_are_refused(lesson, channels, groups):
    with pytest.raises(ValueError, match=f"{channels} channels do not make {groups} equal groups") as error:
        lesson.channel_shuffle(torch.randn(1, channels, 2, 2), groups)
    assert one_sentence(error)


@pytest.mark.parametrize("channels", [1, 7, 117])
def test_odd_channels_are_refused(lesson, channels):
    with pytest.raises(ValueError, match=f"even number of channels.* {channels} is odd") as error:
        lesson.channel_split(torch.randn(1, channels, 2, 2))
    assert one_sentence(error)
    with pytest.raises(ValueError, match=f"halves, and {channels} is odd") as error:
        lesson.BasicUnit(channels)
    assert one_sentence(error)
    with pytest.raises(ValueError, match=f"share the {channels} outputs") as error:
        lesson.DownUnit(24, channels)
    assert one_sentence(error)


# --- the units --------------------------------------------------------------------------------------------


def test_basic_unit_passes_one_half_and_changes_the_other(lesson):
    x = torch.randn(2, 24, 8, 8)
    y = lesson.BasicUnit(24)(x)
    assert y.shape == x.shape
    assert torch.equal(y[:, ::2], x[:, :12])
    assert not torch.isclose(y[:, 1::2], x[:, 12:]).any(dim=(2, 3)).all()
    assert (y[:, 1::2] >= 0).all(), "the right half ends with a ReLU"


@pytest.mark.parametrize(("size", "stride", "out"), [(8, 2, 4), (7, 2, 4), (8, 1, 8), (1, 2, 1)])
def test_down_unit(lesson, size, stride, out):
    unit = lesson.DownUnit(24, 58, stride).eval()
    assert unit(torch.randn(2, 24, size, size)).shape == (2, 58, out, out)


# --- the network ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", COUNTS)
def test_parameters(lesson, width):
    with torch.device("meta"):
        assert count(lesson.ShuffleNetV2(classes=10, width=width)) == COUNTS[width]
        assert count(torchvision_net(width, classes=10)) == COUNTS[width]
        assert count(lesson.ShuffleNetV2(classes=1000, width=width)) == count(torchvision_net(width))


def test_stages_double_their_channels(lesson):
    columns = list(zip(*(channels for _, _, channels in lesson.TABLE_5[2:5]), strict=True))
    assert len(columns) == len(lesson.WIDTHS) == 4
    for second, third, fourth in columns:
        assert (third, fourth) == (2 * second, 4 * second)


def test_the_wrong_digit_is_seen_in_the_count(lesson):
    table = [("stage2", 4, (48, 116, 176, 224)) if row[0] == "stage2" else row for row in lesson.TABLE_5]
    assert count(lesson.ShuffleNetV2(width=2.0, table=table)) == 5_338_026


@pytest.mark.parametrize("width", COUNTS)
def test_same_output_as_torchvision_with_the_same_weights(lesson, width):
    reference = lively(torchvision_net(width), (0.1, 0.4))
    net = with_weights_of(lesson.ShuffleNetV2(1000, width, lesson.IMAGENET_STRIDES), reference)
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        ours, theirs = net(images), reference(images)
    assert theirs.std(dim=0).max() > 0.05, "an output that all pictures share would prove nothing"
    assert (ours - theirs).abs().max() < 1e-4


@pytest.mark.parametrize("size", [(32, 32), (65, 97)])
def test_same_output_at_other_sizes(lesson, size):
    reference = lively(torchvision_net(0.5), (0.1, 0.4))
    net = with_weights_of(lesson.ShuffleNetV2(1000, 0.5, lesson.IMAGENET_STRIDES), reference)
    images = torch.randn(3, 3, *size)
    with torch.inference_mode():
        assert (net(images) - reference(images)).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("strides", "size", "last"), [("CIFAR10", 32, 4), ("IMAGENET", 32, 1), ("IMAGENET", 224, 7)]
)
def test_last_map(lesson, strides, size, last):
    net = lesson.ShuffleNetV2(width=0.5, strides=getattr(lesson, f"{strides}_STRIDES")).eval()
    assert net.stages(net.stem(torch.randn(1, 3, size, size))).shape == (1, 192, last, last)


def test_every_parameter_learns(lesson):
    torch.manual_seed(0)
    net = lesson.ShuffleNetV2(width=0.5)
    nn.functional.cross_entropy(net(torch.randn(8, 3, 32, 32)), torch.arange(8)).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_the_smallest_picture(lesson):
    assert lesson.ShuffleNetV2().eval()(torch.randn(1, 3, 8, 8)).shape == (1, 10)
    net = lesson.ShuffleNetV2(strides=lesson.IMAGENET_STRIDES).eval()
    assert net(torch.randn(1, 3, 32, 40)).shape == (1, 10)
    with pytest.raises(ValueError, match="at least 32 pixels a side"):
        net(torch.randn(1, 3, 31, 40))


@pytest.mark.parametrize(
    "shape",
    [
        (1, 3, 7, 32),
        (1, 3, 32, 7),
        (1, 1, 32, 32),
        (1, 4, 32, 32),
        (3, 32, 32),
        (16, 3, 16),
        (1, 3, 16, 16, 16),
    ],
)
def test_wrong_images_are_refused(lesson, shape):
    with pytest.raises(ValueError, match=r"images \[N, 3, H, W\] of at least 8 pixels a side") as error:
        lesson.ShuffleNetV2(width=0.5)(torch.randn(shape))
    assert str(list(shape)) in str(error.value)
    assert one_sentence(error)


@pytest.mark.parametrize("width", [0.25, 3, -1, "1.0", None])
def test_unknown_width_is_refused(lesson, width):
    with pytest.raises(
        ValueError, match=r"There is no width .*: choose one of 0\.5, 1\.0, 1\.5, 2\.0"
    ) as error:
        lesson.ShuffleNetV2(width=width)
    assert one_sentence(error)


# --- the tools of the experiments -------------------------------------------------------------------------


@pytest.mark.parametrize(("c1", "c2", "kernel", "groups"), [(8, 24, 1, 1), (16, 16, 1, 4), (12, 12, 3, 12)])
def test_work_is_the_formula(tools, c1, c2, kernel, groups):
    conv = nn.Conv2d(c1, c2, kernel, padding=kernel // 2, groups=groups, bias=False)
    h, w, weights = 5, 7, kernel**2 * c1 * c2 // groups
    assert tools["work"](conv, torch.randn(1, c1, h, w)) == (h * w * weights, h * w * (c1 + c2) + weights, 1)


def test_work_of_element_wise_operations(tools):
    x = torch.randn(1, 6, 4, 4)
    assert tools["work"](nn.Sequential(nn.ReLU(), nn.ReLU()), x) == (0, 4 * x.numel(), 2)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.add = tools["Add"]()

        def forward(self, x):
            return self.add(x, x)

    net = Twice()
    assert tools["work"](net, x) == (0, 3 * x.numel(), 1)
    assert not net.add._forward_hooks, "the hooks are gone"


def test_time_in_turn(tools):
    threads_seen = set()

    class Slow(nn.Conv2d):
        def forward(self, x):
            threads_seen.add(torch.get_num_threads())
            time.sleep(0.02)
            return super().forward(x)

    nets = {"fast": nn.Conv2d(2, 2, 1).to(config.device), "slow": Slow(2, 2, 1).to(config.device)}
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        times = tools["time_in_turn"](nets, seconds=0.0)
        assert torch.get_num_threads() == 2, "the threads are given back"
    finally:
        torch.set_num_threads(before)
    assert threads_seen == {1}
    assert times.shape == (7, 2), "nine rounds at least, of which two warm up"
    assert (times[:, 1] > 0.02).all()
    assert times[:, 1].median() > times[:, 0].median()


@pytest.mark.parametrize(
    ("ratios", "says"),
    [
        ([1.9, 2.0, 2.0, 2.1], "A took 2.00 times as long as B"),
        ([1.9, 2.0, 2.0, 2.1], "1.98 to 2.03"),
        ([1.9, 2.0, 2.0, 2.1], "G0 holds here."),
        ([1.0, 1.01, 1.02, 0.99], "G0 does not show here."),
        ([0.8, 1.3, 0.9, 1.6], "G0 does not show here."),
        ([0.5, 0.6, 0.5, 0.6], "G0 is turned round here."),
    ],
)
def test_verdict_says_what_the_numbers_say(tools, capsys, ratios, says):
    tools["verdict"]("G0", "A", "B", torch.tensor(ratios))
    assert says in capsys.readouterr().out

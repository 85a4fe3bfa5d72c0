"""MobileNet v2 of the notebook against torchvision's."""

import pytest
import torch
import torchvision
from reference import count, lively, with_weights_of

from utils.lesson import networks


@pytest.fixture(scope="module")
def lesson():
    return networks("10_mobilenet_v2")


def test_parameters_at_ten_classes(lesson):
    assert count(lesson.MobileNetV2(classes=10)) == 2_236_682
    assert count(lesson.MobileNetV2(classes=10)) == count(torchvision.models.mobilenet_v2(num_classes=10))


@pytest.mark.parametrize("alpha", [0.35, 0.5, 0.75, 1.0, 1.4])
def test_parameters_at_every_width(lesson, alpha):
    with torch.device("meta"):
        ours = lesson.MobileNetV2(classes=1000, alpha=alpha, strides=lesson.IMAGENET_STRIDES)
        theirs = torchvision.models.mobilenet_v2(width_mult=alpha)
    assert count(ours) == count(theirs)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_same_output_as_torchvision_with_the_same_weights(lesson, alpha):
    reference = lively(torchvision.models.mobilenet_v2(width_mult=alpha))
    net = with_weights_of(
        lesson.MobileNetV2(classes=1000, alpha=alpha, strides=lesson.IMAGENET_STRIDES), reference
    )
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        ours, theirs = net(images), reference(images)
    assert theirs.abs().max() > 0.1, "an output that is all but 0 would prove nothing"
    assert (ours - theirs).abs().max() < 1e-4


def test_last_map_for_32_pixels(lesson):
    images = torch.randn(2, 3, 32, 32)
    assert lesson.MobileNetV2().features(images).shape == (2, 1280, 4, 4)
    assert lesson.MobileNetV2(strides=lesson.IMAGENET_STRIDES).features(images).shape == (2, 1280, 1, 1)


def test_the_bottleneck_is_linear(lesson):
    block = lesson.InvertedResidual(8, 16, stride=1, expansion=6).eval()
    y = block(torch.randn(4, 8, 8, 8))
    assert y.min() < 0, "a ReLU at the end would leave nothing below 0"


def test_shortcut_only_between_equal_shapes(lesson):
    assert lesson.InvertedResidual(8, 8, stride=1, expansion=6).shortcut
    assert not lesson.InvertedResidual(8, 8, stride=2, expansion=6).shortcut
    assert not lesson.InvertedResidual(8, 16, stride=1, expansion=6).shortcut


def test_round_channels(lesson):
    assert [lesson.round_channels(c) for c in (1, 8, 11.2, 12, 19, 35, 44.8)] == [8, 8, 16, 16, 24, 32, 48]


def test_the_smallest_picture(lesson):
    net = lesson.MobileNetV2().eval()
    assert net(torch.randn(1, 3, 8, 8)).shape == (1, 10)
    assert lesson.MobileNetV2(strides=lesson.IMAGENET_STRIDES).eval()(torch.randn(1, 3, 32, 32)).shape == (
        1,
        10,
    )


@pytest.mark.parametrize("shape", [(1, 1, 32, 32), (1, 3, 7, 32), (3, 32, 32), (1, 4, 32, 32)])
def test_wrong_input_is_refused(lesson, shape):
    with pytest.raises(ValueError, match=r"Give images \[N, 3, H, W\] of at least 8 pixels"):
        lesson.MobileNetV2()(torch.randn(shape))


def test_wrong_width_is_refused(lesson):
    with pytest.raises(ValueError, match="alpha is 0"):
        lesson.MobileNetV2(alpha=0)

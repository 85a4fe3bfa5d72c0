"""The built-in samples: their shapes, balance, variety and size; and the images of data/images."""

import functools
import importlib.util

import pytest
import torch
from PIL import Image

from utils import config
from utils.machinery import sources

SAMPLES = {"emoji10": (3, 32), "font_digits": (1, 28)}  # channels, side
read = functools.cache(lambda name: getattr(sources, name)())


@pytest.fixture(params=[(name, split) for name in SAMPLES for split in (0, 1)], ids=str)
def sample(request):
    """(name, how many images, images, labels) of a split."""
    name, split = request.param
    return name, (4_000, 1_000)[split], *read(name)[split]


def test_shapes_and_balance(sample):
    name, count, images, labels = sample
    channels, side = SAMPLES[name]
    assert (images.shape, images.dtype) == ((count, channels, side, side), torch.uint8)
    assert images.is_contiguous()
    assert torch.bincount(labels).tolist() == [count // 10] * 10
    assert torch.bincount(labels[:128], minlength=10).min() >= 4, "shuffled"
    assert len(read(name)[2]) == 10


def test_images_are_distinct_and_none_is_blank(sample):
    _, count, images, _ = sample
    assert len({image.numpy().tobytes() for image in images}) == count
    assert images.float().std(dim=(1, 2, 3)).min() > 8


@pytest.mark.parametrize("name", SAMPLES)
def test_splits_share_no_image(name):
    train, test = ({image.numpy().tobytes() for image in split[0]} for split in read(name)[:2])
    assert not train & test


def test_images_are_cut_from_the_mosaic_row_by_row():
    with Image.open(config.samples_dir / "emoji10_train.webp") as image:
        columns = image.width // 32
        for number in (0, 1, columns + 2):
            left, top = number % columns * 32, number // columns * 32
            tile = image.convert("RGB").crop((left, top, left + 32, top + 32))
            assert (
                read("emoji10")[0][0][number].permute(1, 2, 0).numpy().tobytes() == tile.tobytes()
            )


def test_font_digits_are_light_on_dark_and_resemble_their_class():
    images, labels = read("font_digits")[0]
    ink = images[:, 0].float() / 255
    assert 0.08 < ink.mean() < 0.18  # MNIST has 0.13
    border = torch.cat([ink[:, 0], ink[:, -1], ink[:, :, 0], ink[:, :, -1]], dim=1)
    assert (border.amax(1) > 0.1).float().mean() < 0.05, "hardly any digit touches the border"
    means = torch.stack([ink[labels == digit].mean(0).flatten() for digit in range(10)])
    nearest = torch.cdist(ink.flatten(1), means).argmin(1)
    assert (nearest == labels).float().mean() > 0.4


def test_font_digits_are_what_their_program_draws():
    program = config.root / "tools" / "samples" / "build_font_digits.py"
    spec = importlib.util.spec_from_file_location("build", program)
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    images, labels = build.font_digits(1_000)
    stored = read("font_digits")[1]
    assert torch.equal(torch.from_numpy(labels), stored[1])
    difference = (torch.from_numpy(images).int() - stored[0][:, 0].int()).abs().float()
    assert difference.mean() < 2, (
        "edges may differ with the version of the font library, digits may not"
    )


def test_the_samples_stay_small():
    assert sum(file.stat().st_size for file in config.samples_dir.glob("*.webp")) <= 4_000_000


def test_each_picture_is_small_and_has_its_source_named():
    readme = (config.root / "data" / "README.md").read_text(encoding="utf-8")
    files = [
        file
        for file in config.pictures.iterdir()
        if file.is_file() and not file.name.startswith(".")
    ]
    assert len([file for file in files if file.stem in sources.CLASSES]) >= 4
    for file in files:
        assert f"| `{file.name}` |" in readme
        assert file.stat().st_size <= 61_000
        with Image.open(file) as image:
            assert max(image.size) <= 512

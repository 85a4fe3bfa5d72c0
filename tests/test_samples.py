"""The built-in samples: what they promise about shapes, balance, styles and size, and what they say when damaged."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from utils import config, samples

SIZES = {"train": 4_000, "test": 1_000}
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


@pytest.fixture(scope="module", params=list(SIZES))
def emoji(request):
    """(split, images, labels, styles) of Emoji-10."""
    return request.param, *samples.emoji10(request.param)


@pytest.fixture(scope="module", params=list(SIZES))
def digits(request):
    """(split, images, labels) of Font digits."""
    return request.param, *samples.font_digits(request.param)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the samples folder, in the place of the real one, to be damaged."""
    folder = tmp_path / "samples"
    shutil.copytree(config.samples_dir, folder)
    monkeypatch.setattr(config, "samples_dir", folder)
    return folder


def test_emoji10_shapes(emoji):
    split, images, labels, styles = emoji
    assert images.shape == (SIZES[split], 3, 32, 32)
    assert images.dtype == np.uint8
    assert images.flags.c_contiguous
    assert labels.shape == (SIZES[split],)
    assert labels.dtype == np.int64
    assert len(styles) == SIZES[split]


def test_emoji10_classes_are_those_of_cifar10_each_as_often(emoji):
    split, _, labels, _ = emoji
    record = json.loads((config.samples_dir / "emoji10.json").read_text(encoding="utf-8"))
    assert record["classes"] == CIFAR10
    assert np.bincount(labels).tolist() == [SIZES[split] // 10] * 10


def test_emoji10_styles_are_spread_evenly_over_the_classes(emoji):
    split, _, labels, styles = emoji
    share = SIZES[split] / 30
    for label in range(10):
        for style in ("noto", "fluent", "twemoji"):
            count = np.sum((labels == label) & (np.array(styles) == style))
            assert abs(count - share) < 1, (label, style)


def test_emoji10_is_shuffled(emoji):
    _, _, labels, styles = emoji
    assert np.bincount(labels[:128], minlength=10).min() >= 4
    assert np.mean(labels[1:] == labels[:-1]) < 0.15
    assert len(set(styles[:16])) == 3


def test_emoji10_tiles_are_cut_where_the_images_are(emoji):
    # A wrong cut would run through the images: the step across a border of two images would be no
    # larger than one inside an image.
    split, *_ = emoji
    with Image.open(config.samples_dir / f"emoji10_{split}.webp") as image:
        mosaic = np.asarray(image.convert("L"), dtype=float)
    steps = np.abs(np.diff(mosaic, axis=1)).mean(axis=0)
    at_border = steps[31::32].mean()
    assert at_border > 2 * np.delete(steps, np.arange(31, len(steps), 32)).mean()
    first = samples.emoji10(split)[0][0]
    with Image.open(config.samples_dir / f"emoji10_{split}.webp") as image:
        np.testing.assert_array_equal(first, np.asarray(image.convert("RGB"))[:32, :32].transpose(2, 0, 1))


def test_emoji10_second_row_of_the_mosaic_follows_the_first():
    images, _, _ = samples.emoji10("train")
    with Image.open(config.samples_dir / "emoji10_train.webp") as image:
        mosaic = np.asarray(image.convert("RGB"))
    columns = mosaic.shape[1] // 32
    np.testing.assert_array_equal(images[columns + 1], mosaic[32:64, 32:64].transpose(2, 0, 1))


def test_emoji10_images_are_distinct_and_varied(emoji):
    split, images, _, _ = emoji
    assert len({image.tobytes() for image in images}) == SIZES[split]
    brightness = images.mean(axis=(1, 2, 3))
    assert brightness.min() < 80
    assert brightness.max() > 170
    assert images.std(axis=(1, 2, 3)).min() > 8  # none is blank


def test_emoji10_splits_share_no_image():
    train, test = ({image.tobytes() for image in samples.emoji10(split)[0]} for split in SIZES)
    assert not train & test


def test_emoji10_takes_at_most_4_mb():
    files = [file for file in config.samples_dir.iterdir() if file.name.startswith("emoji10")]
    assert len(files) == 3
    assert sum(file.stat().st_size for file in files) <= 4_000_000


def test_font_digits_shapes(digits):
    split, images, labels = digits
    assert images.shape == (SIZES[split], 1, 28, 28)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [SIZES[split] // 10] * 10
    assert np.bincount(labels[:128], minlength=10).min() >= 4  # shuffled


def test_font_digits_are_always_the_same(digits):
    split, images, labels = digits
    again = samples.font_digits(split)
    np.testing.assert_array_equal(images, again[0])
    np.testing.assert_array_equal(labels, again[1])


def test_font_digits_are_distinct(digits):
    split, images, _ = digits
    assert len({image.tobytes() for image in images}) == SIZES[split]


def test_font_digits_splits_share_no_image():
    train, test = ({image.tobytes() for image in samples.font_digits(split)[0]} for split in SIZES)
    assert not train & test


def test_font_digits_are_light_on_dark_and_whole(digits):
    _, images, _ = digits
    ink = images[:, 0].astype(float) / 255
    assert 0.08 < ink.mean() < 0.18  # MNIST has 0.13
    assert ink.max(axis=(1, 2)).min() > 0.5
    border = np.concatenate([ink[:, 0], ink[:, -1], ink[:, :, 0], ink[:, :, -1]], axis=1)
    assert np.mean(border.max(axis=1) > 0.1) < 0.05  # hardly any digit touches the border


def test_font_digits_resemble_their_class(digits):
    # The mean image of each class, and the nearest of them for each image: right far more often than by chance.
    _, images, labels = digits
    flat = images.reshape(len(images), -1) / 255
    means = np.stack([flat[labels == digit].mean(axis=0) for digit in range(10)])
    distance = (means**2).sum(axis=1) - 2 * flat @ means.T
    assert np.mean(distance.argmin(axis=1) == labels) > 0.4


@pytest.mark.parametrize("load", [samples.emoji10, samples.font_digits])
def test_an_unknown_split_is_named(load):
    with pytest.raises(ValueError, match=r"^There is no split 'valid': ask for 'train' or 'test'\.$"):
        load("valid")


@pytest.mark.parametrize("name", ["emoji10_train.webp", "emoji10.json"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"{name}.* is missing: bring it back with"):
        samples.emoji10("train")


def _not_an_image(folder):
    (folder / "emoji10_test.webp").write_text("not an image")


def _half_an_image(folder):
    file = folder / "emoji10_test.webp"
    file.write_bytes(file.read_bytes()[:100_000])


def _mosaic_of_another_size(folder):
    Image.new("RGB", (320, 320)).save(folder / "emoji10_test.webp")


def _not_json(folder):
    (folder / "emoji10.json").write_text("{")


def _a_style_too_few(folder):
    file = folder / "emoji10.json"
    record = json.loads(file.read_text())
    record["test"]["styles"] = record["test"]["styles"][:-1]
    file.write_text(json.dumps(record))


@pytest.mark.parametrize(
    "damage", [_not_an_image, _half_an_image, _mosaic_of_another_size, _not_json, _a_style_too_few]
)
def test_damage_is_one_sentence(copy, damage):
    damage(copy)
    with pytest.raises(ValueError, match="^The built-in sample in .* is damaged .*git checkout") as caught:
        samples.emoji10("test")
    assert "\n" not in str(caught.value)


def test_each_picture_is_small_and_has_its_source_named():
    readme = (config.root / "data" / "README.md").read_text(encoding="utf-8")
    pictures = [
        file for file in config.pictures.iterdir() if file.is_file() and not file.name.startswith(".")
    ]
    classes = [file.stem for file in pictures if file.stem in CIFAR10]
    assert len(classes) >= 4
    for file in pictures:
        assert f"| `{file.name}` |" in readme
        assert file.stat().st_size <= 61_000
        with Image.open(file) as image:
            image.load()
            assert max(image.size) <= 512

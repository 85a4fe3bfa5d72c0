"""Image sets, augmentation, the loader, and where the data sets come from."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import pickle
import tarfile
import threading

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import functional as pil_transforms

from utils import config, data
from utils.data import (
    Batches,
    DataError,
    ImageSet,
    balanced_indices,
    hold_out,
    load_cifar10,
    load_emoji10,
    load_folder,
    load_font_digits,
    load_mnist,
    mean_and_std,
    random_crop,
    random_cutout,
    random_flip,
)
from utils.download import DownloadError

pytestmark = pytest.mark.usefixtures("one_thread")

# --- ImageSet and what is counted from it ---------------------------------------------------------------------


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(256, shape, dtype=torch.uint8)


def test_an_image_set_has_a_length_and_subsets(make_set):
    whole = make_set(10)
    part = whole.subset(torch.tensor([7, 2]))
    assert (len(whole), len(part)) == (10, 2)
    assert torch.equal(part.images, whole.images[[7, 2]])
    assert torch.equal(part.labels, whole.labels[[7, 2]])
    assert (part.classes, part.mean, part.name) == (whole.classes, whole.mean, whole.name)
    assert whole == whole  # comparing tensors one by one would be an error
    assert whole != part


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"images": torch.zeros(4, 3, 8, 8)}, "Images are uint8.*torch.float32"),
        ({"images": noise(4, 8, 8)}, r"Images are uint8 \[N, C, H, W\].*\[4, 8, 8\]"),
        ({"labels": torch.zeros(4)}, "int64 label.*torch.float32"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, r"each of the 4 images.*\[3\]"),
        ({"labels": torch.zeros(4, 1, dtype=torch.int64)}, "int64 label"),
        ({"labels": torch.tensor([0, 1, 2, 0])}, "0 to 1 for 2 classes: these run from 0 to 2"),
        ({"labels": torch.tensor([0, -1, 1, 0])}, "these run from -1 to 1"),
        ({"mean": (0.5,)}, "each of the 3 channels"),
        ({"std": (0.5,) * 4}, "each of the 3 channels"),
    ],
)
def test_parts_of_an_image_set_that_do_not_fit_are_refused(changed, words):
    parts = {
        "images": noise(4, 3, 8, 8),
        "labels": torch.tensor([0, 1, 1, 0]),
        "classes": ("a", "b"),
        "name": "x",
    }
    parts |= {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    assert len(ImageSet(**parts)) == 4
    with pytest.raises(ValueError, match=words):
        ImageSet(**(parts | changed))


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_std_are_those_of_numpy(channels):
    images = noise(7, channels, 5, 6)
    mean, std = mean_and_std(images)
    pixels = images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(mean, pixels.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std((0, 2, 3)), rtol=1e-9)
    assert all(isinstance(value, float) for value in mean + std)


def test_the_std_of_one_colour_can_be_divided_by():
    mean, std = mean_and_std(torch.full((2, 1, 4, 4), 51, dtype=torch.uint8))
    assert mean == pytest.approx((0.2,))
    assert 0 < std[0] < 1e-3


def test_balanced_indices_take_equally_many_of_each_class():
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)
    for count in (3, 30, 31, 60):
        chosen = balanced_indices(labels, count)
        assert len(chosen) == len(chosen.unique()) == count
        counts = torch.bincount(labels[chosen], minlength=3)
        assert counts.max() - counts.min() == (count % 3 > 0)
    counts = torch.bincount(
        labels[balanced_indices(labels, 80)], minlength=3
    )  # there are only 20 of the last
    assert counts.tolist() == [30, 30, 20]
    assert sorted(balanced_indices(labels, 1000).tolist()) == list(range(100))


def test_balanced_indices_are_random_and_the_same_for_the_same_seed():
    labels = torch.arange(1000) % 10
    state = torch.get_rng_state()
    first = balanced_indices(labels, 100)
    assert torch.equal(first, balanced_indices(labels, 100))
    assert not torch.equal(first, balanced_indices(labels, 100, seed=1))
    assert first.max() > 900  # not simply the first of each class
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's random numbers are used up


def test_held_out_images_are_balanced_and_not_trained_on(make_set):
    whole = make_set(90)
    images = {image.numpy().tobytes() for image in whole.images}
    assert len(images) == 90
    rest, held_out = hold_out(whole, 30)
    assert torch.bincount(held_out.labels).tolist() == [10, 10, 10]
    kept, out = ({image.numpy().tobytes() for image in part.images} for part in (rest, held_out))
    assert len(kept) == 60
    assert not kept & out
    assert kept | out == images
    by_image = dict(zip((i.numpy().tobytes() for i in whole.images), whole.labels.tolist(), strict=True))
    for part in (rest, held_out):
        assert [by_image[i.numpy().tobytes()] for i in part.images] == part.labels.tolist()


@pytest.mark.parametrize("count", [-1, 0, 30, 31])
def test_all_or_no_images_cannot_be_held_out(make_set, count):
    with pytest.raises(ValueError, match=f"{count} of 30 .*from 1 to 29"):
        hold_out(make_set(30), count)


# --- augmentation ---------------------------------------------------------------------------------------------


def test_random_crop_cuts_what_torchvision_cuts():
    images = noise(20, 3, 6, 9)
    torch.manual_seed(5)
    cropped = random_crop(images, 2)
    torch.manual_seed(5)
    top, left = torch.randint(5, (2, 20))
    for image, result, y, x in zip(images, cropped, top.tolist(), left.tolist(), strict=True):
        padded = pil_transforms.pad(image, [2])
        assert torch.equal(result, pil_transforms.crop(padded, y, x, 6, 9))


def test_every_image_has_its_own_crop_and_all_windows_occur():
    """The single white pixel of each image shows where the window was."""
    images = torch.zeros(2000, 1, 8, 8, dtype=torch.uint8)
    images[:, :, 4, 4] = 255
    places = random_crop(images, 2).flatten(1).nonzero()
    assert len(places) == 2000  # every other pixel is black, the padding too
    counts = torch.bincount(places[:, 1], minlength=64).view(8, 8)[2:7, 2:7]
    assert counts.sum() == 2000
    assert counts.min() > 80 - 5 * 9  # 80 expected, standard deviation 9
    assert counts.max() < 80 + 5 * 9


def test_random_flip_mirrors_half_of_the_images_left_to_right():
    images = noise(1000, 3, 4, 5)
    flipped = random_flip(images)
    same = (flipped == images).flatten(1).all(1)
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 420 < same.sum() < 580
    assert same[:20].unique().numel() == 2


@pytest.mark.parametrize("size", [3, 4])
def test_random_cutout_hides_one_square_of_each_image(size):
    images = torch.rand(500, 3, 12, 12) + 1
    before = images.clone()
    result = random_cutout(images, size)
    assert torch.equal(images, before)
    hidden = result == 0
    assert (hidden == hidden[:, :1]).all()  # in all channels
    assert torch.equal(result[~hidden], images[~hidden])
    shapes, places = set(), set()
    for mask in hidden[:, 0]:
        rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
        assert mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()  # a rectangle
        assert mask.sum() == len(rows) * len(columns)
        inside = rows[0] > 0 and rows[-1] < 11 and columns[0] > 0 and columns[-1] < 11
        shapes.add((len(rows), len(columns)) if inside else None)
        places.add((int(rows[0]), int(columns[0])))
    assert shapes - {None} == {(size, size)}  # cut off at the border only
    assert {y for y, _ in places} == {x for _, x in places} == set(range(11))


# --- Batches --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_batches_are_those_of_a_plain_dataloader(channels):
    images = noise(10, channels, 6, 6)
    mean, std = (0.1, 0.4, 0.9)[:channels], (0.2, 0.3, 0.7)[:channels]
    labels = torch.arange(10) % 4
    image_set = ImageSet(images, labels, tuple("abcd"), "noise", mean, std)
    transform = torchvision.transforms.Compose(
        [torchvision.transforms.ToTensor(), torchvision.transforms.Normalize(mean, std)]
    )
    pictures = [transform(image.permute(1, 2, 0).numpy()) for image in images]
    plain = DataLoader(list(zip(pictures, labels.tolist(), strict=True)), batch_size=4)
    batches = Batches(image_set, 4, device="cpu")
    assert len(batches) == len(plain) == 3
    assert batches.classes == tuple("abcd")
    ours = list(batches)
    assert [len(labels) for _, labels in ours] == [4, 4, 2]
    for (our_images, our_labels), (their_images, their_labels) in zip(ours, plain, strict=True):
        assert our_images.dtype == torch.float32
        assert our_labels.dtype == torch.int64
        assert torch.equal(our_images, their_images)
        assert torch.equal(our_labels, their_labels)


def test_the_number_of_batches_is_rounded_up(make_set):
    assert [len(Batches(make_set(12), size)) for size in (1, 4, 5, 12, 100)] == [12, 3, 3, 1, 1]


def test_shuffling_gives_every_image_once_in_a_new_order_each_time(make_set):
    batches = Batches(make_set(30), 8, shuffle=True)
    epochs = [torch.cat([images for images, _ in batches]) for _ in range(2)]
    assert not torch.equal(*epochs)
    for epoch in epochs:
        assert {i.numpy().tobytes() for i in epoch} == {
            i.numpy().tobytes() for i in batches.prepare(batches.images)
        }
    by_image = {
        i.numpy().tobytes(): int(k)
        for i, k in zip(batches.prepare(batches.images), batches.labels, strict=True)
    }
    for images, labels in batches:
        assert [by_image[i.numpy().tobytes()] for i in images] == labels.tolist()


def test_the_same_seed_gives_the_same_batches(make_set):
    def epoch(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([images for images, _ in batches])

    batches = Batches(make_set(30), 8, shuffle=True, crop_padding=2, flip=True, cutout=3)
    assert torch.equal(epoch(1), epoch(1))
    assert not torch.equal(epoch(1), epoch(2))


def test_pixels_are_augmented_then_resized_then_normalised(make_set):
    image_set = make_set(4, size=8)
    batches = Batches(image_set, 4, crop_padding=1, flip=True, cutout=3, resize=20, device="cpu")
    torch.manual_seed(3)
    ((images, _),) = batches
    torch.manual_seed(3)
    expected = random_flip(random_crop(image_set.images, 1)).float() / 255
    expected = torch.nn.functional.interpolate(expected, (20, 20), mode="bilinear", antialias=True)
    expected = random_cutout((expected - 0.5) / 0.25, 3)
    assert images.shape == (4, 3, 20, 20)
    assert torch.equal(images, expected)
    assert (images == 0).any()


def test_resizing_keeps_values_inside_the_range_of_pixels(make_set):
    ((images, _),) = Batches(make_set(4), 4, resize=5, device="cpu")
    assert images.shape == (4, 3, 5, 5)
    assert images.min() >= (0 - 0.5) / 0.25
    assert images.max() <= (1 - 0.5) / 0.25


def test_batches_are_on_the_device_asked_for(make_set):
    images, labels = next(iter(Batches(make_set(), 4, device="meta")))
    assert images.device.type == labels.device.type == "meta"
    images, labels = next(iter(Batches(make_set(), 4)))
    assert images.device.type == labels.device.type == config.device.type


def test_batches_need_images_and_a_batch_size(make_set):
    with pytest.raises(ValueError, match="noise holds no images"):
        Batches(make_set(0), 4)
    for size in (0, -3):
        with pytest.raises(ValueError, match=f"batch_size is {size}: give a whole number from 1 up"):
            Batches(make_set(), size)


# --- where the data sets come from ----------------------------------------------------------------------------

IMAGES_A_FILE = 20


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """Changes config's values; the data folder is an empty one, and every download fails the test."""

    def change(**values) -> None:
        for name, value in values.items():
            monkeypatch.setattr(config, name, config.RUN_SIZES[value] if name == "run" else value)

    def no_download(*_, **__):
        pytest.fail("tried to download")

    change(data_dir=tmp_path / "data", data_source="auto", run="short")
    monkeypatch.setattr(data, "download", no_download)
    return change


@pytest.fixture
def small_sample(monkeypatch):
    """A sample that takes no time to read: 80 and 20 images."""

    def emoji10(split):
        count = {"train": 80, "test": 20}[split]
        images = np.random.default_rng(count).integers(256, size=(count, 3, 32, 32), dtype=np.uint8)
        return images, np.arange(count) % 10, ["noto", "fluent"] * (count // 2)

    def font_digits(split):
        images, labels, _ = emoji10(split)
        return images[:, :1, :28, :28], labels

    monkeypatch.setattr(data.samples, "emoji10", emoji10)
    monkeypatch.setattr(data.samples, "font_digits", font_digits)


@pytest.fixture
def cifar10(monkeypatch, tmp_path):
    """Makes a tiny CIFAR-10 in the official file format, and lets torchvision expect its checksums."""
    folder = tmp_path / "official" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    checksums = {}
    for name in [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch", "batches.meta"]:
        content = {"label_names": list(data.CLASSES)}
        if name != "batches.meta":
            pixels = generator.integers(256, size=(IMAGES_A_FILE, 3072), dtype=np.uint8)
            content = {"data": pixels, "labels": [k % 10 for k in range(IMAGES_A_FILE)]}
        (folder / name).write_bytes(pickle.dumps(content))
        checksums[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    official = torchvision.datasets.CIFAR10
    monkeypatch.setattr(
        official, "train_list", [[f"data_batch_{k}", checksums[f"data_batch_{k}"]] for k in range(1, 6)]
    )
    monkeypatch.setattr(official, "test_list", [["test_batch", checksums["test_batch"]]])
    monkeypatch.setattr(official, "meta", official.meta | {"md5": checksums["batches.meta"]})
    return folder


def test_cifar10_is_read_from_the_data_folder(settings, cifar10, capsys):
    settings(data_dir=cifar10.parent)
    train, test = load_cifar10()
    assert (len(train), len(test)) == (5 * IMAGES_A_FILE, IMAGES_A_FILE)
    assert (train.name, train.classes) == ("CIFAR-10", data.CLASSES)
    assert (train.mean, train.std) == (data.CIFAR10_MEAN, data.CIFAR10_STD)
    with (cifar10 / "test_batch").open("rb") as file:
        content = pickle.load(file)
    order = balanced_indices(torch.tensor(content["labels"]), 2000)
    assert np.array_equal(test.images.numpy(), content["data"].reshape(-1, 3, 32, 32)[order])
    assert test.labels.tolist() == [content["labels"][k] for k in order]
    assert capsys.readouterr().out == (
        "CIFAR-10: 100 of 100 training images, 20 of 20 test images, 10 classes.\n"
    )


def test_the_run_size_cuts_each_class_alike(settings, cifar10, monkeypatch, capsys):
    settings(data_dir=cifar10.parent, run="quick")
    monkeypatch.setattr(config, "run", config.RunSize("quick", 50, 10))
    train, test = load_cifar10()
    assert torch.bincount(train.labels).tolist() == [5] * 10
    assert torch.bincount(test.labels).tolist() == [1] * 10
    assert "50 of 100 training images, 10 of 20 test images" in capsys.readouterr().out


def test_validation_images_come_out_of_the_training_images(settings, cifar10, capsys):
    settings(data_dir=cifar10.parent, run="full")
    all_train, all_test = load_cifar10()
    train, held_out = load_cifar10(validation=30)
    assert (len(train), len(held_out)) == (70, 30)
    assert torch.bincount(held_out.labels).tolist() == [3] * 10
    as_set = [{i.numpy().tobytes() for i in part.images} for part in (all_train, all_test, train, held_out)]
    assert as_set[2] | as_set[3] == as_set[0]
    assert not as_set[2] & as_set[3]
    assert not as_set[3] & as_set[1]
    assert "30 of 30 held-out training images" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["missing", "truncated", "changed", "empty folder", "file in its place"])
@pytest.mark.parametrize("source", ["auto", "official"])
def test_a_damaged_folder_is_named_and_stays_as_it_was(
    settings, cifar10, small_sample, capsys, damage, source
):
    settings(data_dir=cifar10.parent, data_source=source)
    file = cifar10 / "data_batch_3"
    if damage == "missing":
        file.unlink()
    elif damage == "truncated":
        file.write_bytes(file.read_bytes()[:1000])
    elif damage == "changed":
        content = bytearray(file.read_bytes())
        content[500] ^= 1
        file.write_bytes(content)
    else:
        for each in cifar10.iterdir():
            each.unlink()
        if damage == "file in its place":
            cifar10.rmdir()
            cifar10.write_text("no folder")
    before = {path.name: path.read_bytes() for path in cifar10.parent.rglob("*") if path.is_file()}
    words = (
        "cifar-10-batches-py is not complete or damaged: move that folder away, so that it is fetched again."
    )
    if source == "official":
        with pytest.raises(DataError) as caught:
            load_cifar10()
        assert str(caught.value).endswith(words)
    else:
        train, _ = load_cifar10()
        assert train.name == "Emoji-10"
        warning, summary = capsys.readouterr().out.splitlines()
        assert warning.startswith("WARNING: not CIFAR-10, but the built-in sample. ")
        assert warning.endswith(words)
        assert summary == "Emoji-10: 80 of 80 training images, 20 of 20 test images, 10 classes."
    assert {path.name: path.read_bytes() for path in cifar10.parent.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("load", [load_cifar10, load_mnist])
def test_the_quick_run_downloads_nothing(settings, small_sample, capsys, load):
    settings(run="quick")
    load()
    assert "the quick run downloads nothing" in capsys.readouterr().out
    settings(data_source="official")
    with pytest.raises(DataError, match="do a short or a full run once"):
        load()


def test_the_sample_can_be_asked_for(settings, cifar10, small_sample, capsys):
    settings(data_dir=cifar10.parent, data_source="sample")
    train, test = load_cifar10()
    assert train.name == test.name == "Emoji-10"
    assert "WARNING" not in capsys.readouterr().out
    expected = mean_and_std(train.images)
    assert (train.mean, train.std) == expected


def test_more_held_out_images_than_the_sample_has_are_a_fifth_of_it(settings, small_sample):
    settings(data_source="sample")
    train, held_out = load_cifar10(validation=5000)
    assert (len(train), len(held_out)) == (64, 16)


@pytest.mark.parametrize("source", ["auto", "official"])
def test_a_failed_download_says_why(settings, monkeypatch, small_sample, capsys, source):
    def broken(*_, **__):
        raise DownloadError("cifar-10-python.tar.gz could not be downloaded (no network): check the network.")

    settings(data_source=source)
    monkeypatch.setattr(data, "download", broken)
    if source == "official":
        with pytest.raises(DataError, match=r"could not be downloaded \(no network\): check the network.$"):
            load_cifar10()
    else:
        assert load_cifar10()[0].name == "Emoji-10"
        assert (
            "sample. cifar-10-python.tar.gz could not be downloaded (no network)" in capsys.readouterr().out
        )


@pytest.mark.parametrize("run", ["short", "quick"])
def test_a_data_folder_that_cannot_be_made_or_read_is_named(settings, monkeypatch, tmp_path, run):
    (tmp_path / "file").write_text("no folder")
    settings(data_source="official", data_dir=tmp_path / "file" / "data", run=run)
    monkeypatch.setattr(data, "download", real_download)
    with pytest.raises(DataError) as caught:
        load_cifar10()
    assert "COURSE_DATA_DIR" in str(caught.value) or "quick run" in str(caught.value)
    assert str(tmp_path / "file" / "data") in str(caught.value)


def test_a_data_folder_without_permission_is_one_sentence(settings, monkeypatch, small_sample, capsys):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    settings(run="quick")
    monkeypatch.setattr(data, "_read_cifar10", refuse)
    assert load_cifar10()[0].name == "Emoji-10"
    assert "cannot be read (Permission denied): set COURSE_DATA_DIR to a folder" in capsys.readouterr().out


real_download = data.download


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Serves tmp_path/served on loopback; gives the folder, the URL and the list of paths asked for."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    folder, asked = tmp_path / "served", []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=folder)
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        with contextlib.ExitStack() as stack:
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            yield folder, f"http://127.0.0.1:{server.server_port}/", asked


def test_cifar10_is_downloaded_once_unpacked_and_read(settings, cifar10, served, monkeypatch, capsys):
    folder, url, asked = served
    archive = folder / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(cifar10, "cifar-10-batches-py")
    monkeypatch.setattr(data, "download", real_download)
    monkeypatch.setattr(data, "CIFAR10_URLS", (url + archive.name,))
    monkeypatch.setattr(data, "CIFAR10_MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(data, "CIFAR10_SIZE", archive.stat().st_size)
    settings(data_source="official", run="full")
    train, _ = load_cifar10()
    assert (train.name, len(train)) == ("CIFAR-10", 100)
    assert len(asked) == 1
    again, _ = load_cifar10()
    assert torch.equal(again.images, train.images)
    assert len(asked) == 1  # it was on disk

    settings(run="quick")  # finds what the full run fetched
    assert load_cifar10()[0].name == "CIFAR-10"
    assert "WARNING" not in capsys.readouterr().out


@pytest.fixture
def mnist(served, monkeypatch):
    """Serves an MNIST of black digits, all labelled 7, in the official file format."""
    folder, url, _ = served
    resources = []
    for split, count in (("train", 60_000), ("t10k", 10_000)):
        header = (0x803).to_bytes(4, "big") + b"".join(n.to_bytes(4, "big") for n in (count, 28, 28))
        labels = (0x801).to_bytes(4, "big") + count.to_bytes(4, "big") + b"\7" * count
        for name, content in (("images-idx3", header + bytes(count * 784)), ("labels-idx1", labels)):
            packed = gzip.compress(content, compresslevel=1)
            (folder / f"{split}-{name}-ubyte.gz").write_bytes(packed)
            resources.append((f"{split}-{name}-ubyte.gz", hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    monkeypatch.setattr(data, "MNIST_URLS", (url,))
    monkeypatch.setattr(data, "download", real_download)


def test_mnist_is_downloaded_and_a_damaged_file_is_named(settings, mnist, served, capsys):
    settings(data_source="official", run="short")
    train, test = load_mnist()
    assert (train.name, train.images.shape, len(test)) == ("MNIST", (5_000, 1, 28, 28), 2_000)
    assert train.classes == tuple("0123456789")
    assert set(train.labels.tolist()) == {7}
    assert len(served[2]) == 4
    load_mnist()
    assert len(served[2]) == 4
    assert "5,000 of 60,000 training images, 2,000 of 10,000 test images" in capsys.readouterr().out

    raw = config.data_dir / "MNIST" / "raw"
    file = raw / "t10k-labels-idx1-ubyte"
    good = file.read_bytes()
    for bad in (good[:-5], good[:-1] + b"\x0b", b"<html>no MNIST</html>"):
        file.write_bytes(bad)
        with pytest.raises(DataError, match="raw is not complete or damaged: move that folder away"):
            load_mnist()
        assert file.read_bytes() == bad

    images = raw / "t10k-images-idx3-ubyte"  # five images and five labels fit together, but are not MNIST
    whole, five = images.read_bytes(), (5).to_bytes(4, "big")
    images.write_bytes(whole[:4] + five + whole[8 : 16 + 5 * 784])
    file.write_bytes(good[:4] + five + good[8:13])
    with pytest.raises(DataError, match="raw is not complete or damaged: move that folder away"):
        load_mnist()
    images.write_bytes(whole)

    file.unlink()  # one file is missing: only that one is fetched
    (raw / "t10k-labels-idx1-ubyte.gz").unlink()
    load_mnist()
    assert len(served[2]) == 5
    assert file.read_bytes() == good


def test_the_real_cifar10_has_the_mean_and_std_that_the_course_uses(monkeypatch):
    if not (config.data_dir / "cifar-10-batches-py").is_dir():
        pytest.skip("CIFAR-10 is not in the data folder")
    monkeypatch.setattr(config, "data_source", "official")
    monkeypatch.setattr(config, "run", config.RUN_SIZES["full"])
    train, test = load_cifar10()
    assert train.images.shape == (50_000, 3, 32, 32)
    assert test.images.shape == (10_000, 3, 32, 32)
    assert torch.bincount(train.labels).tolist() == [5_000] * 10
    mean, std = mean_and_std(train.images)
    assert mean == pytest.approx(data.CIFAR10_MEAN, abs=5e-5)
    assert std == pytest.approx(data.CIFAR10_STD, abs=1e-4)


def test_the_real_mnist_has_the_mean_and_std_that_the_course_uses(monkeypatch):
    if not (config.data_dir / "MNIST" / "raw").is_dir():
        pytest.skip("MNIST is not in the data folder")
    monkeypatch.setattr(config, "data_source", "official")
    monkeypatch.setattr(config, "run", config.RUN_SIZES["full"])
    train, test = load_mnist()
    assert (train.images.shape, len(test)) == ((60_000, 1, 28, 28), 10_000)
    mean, std = mean_and_std(train.images)
    assert mean == pytest.approx(data.MNIST_MEAN, abs=5e-5)
    assert std == pytest.approx(data.MNIST_STD, abs=5e-5)


def test_emoji10_can_be_limited_to_styles(small_sample):
    train, test = load_emoji10(train_styles=("noto",), test_styles=("fluent",))
    assert (len(train), len(test)) == (40, 10)
    assert (train.labels % 2 == 0).all()
    assert (test.labels % 2 == 1).all()
    with pytest.raises(ValueError, match="There is no style apple: Emoji-10 has fluent, noto."):
        load_emoji10(train_styles=("noto", "apple"))


def test_font_digits_are_an_image_set_of_one_channel(small_sample):
    train, test = load_font_digits()
    assert train.images.shape[1:] == test.images.shape[1:] == (1, 28, 28)
    assert train.classes == tuple("0123456789")
    assert torch.bincount(test.labels).unique().numel() == 1


# --- a reader's own pictures ----------------------------------------------------------------------------------

COLOURS = {"cat": (200, 30, 30), "dog": (30, 200, 30)}


@pytest.fixture
def pictures(tmp_path):
    """A folder with two plain pictures of each class in each split."""
    for split in ("train", "test"):
        for name, colour in COLOURS.items():
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            Image.new("RGB", (40, 20), colour).save(folder / "wide.png")
            Image.new("RGB", (7, 9), colour).save(folder / "small.png")
    return tmp_path / "pets"


def test_a_folder_of_pictures_becomes_two_image_sets(pictures, capsys):
    train, test = load_folder(pictures, size=16)
    for part in (train, test):
        assert (part.name, part.classes) == ("pets", ("cat", "dog"))
        assert part.images.shape == (4, 3, 16, 16)
        assert part.labels.tolist() == [0, 0, 1, 1]
        for image, label in zip(part.images, part.labels, strict=True):
            assert (image == torch.tensor(list(COLOURS.values())[label]).view(3, 1, 1)).all()
    assert (train.mean, train.std) == (test.mean, test.std) == mean_and_std(train.images)
    assert capsys.readouterr().out == "pets: 4 training images, 4 test images, 2 classes.\n"
    assert load_folder(str(pictures))[0].images.shape == (4, 3, 32, 32)


def test_the_middle_of_a_picture_is_kept(pictures):
    picture = Image.new("RGB", (60, 20), "red")
    picture.paste("blue", (20, 0, 40, 20))
    picture.save(pictures / "train" / "cat" / "small.png")
    train, _ = load_folder(pictures, size=10)
    assert train.images[0, :, 5, 5].tolist() == [0, 0, 255]
    assert (train.images[0, 2] == 255).all()


def test_grey_transparent_and_turned_pictures_are_read_as_seen(pictures):
    folder = pictures / "train" / "cat"
    Image.new("L", (8, 8), 77).save(folder / "a_grey.png")
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(folder / "b_transparent.png")
    turned = Image.new("RGB", (8, 8), "white")
    turned.paste("black", (0, 0, 8, 4))  # black above; orientation 6 turns that to the right
    exif = Image.Exif()
    exif[0x0112] = 6
    turned.save(folder / "c_turned.png", exif=exif)
    train, _ = load_folder(pictures, size=8)
    assert (train.images[0] == 77).all()
    assert (train.images[1] == 255).all()
    assert (train.images[2, :, :, :4] == 255).all()
    assert (train.images[2, :, :, 4:] == 0).all()


def test_files_that_are_no_pictures_are_left_out_and_named(pictures, capsys):
    (pictures / "train" / "cat" / "notes.txt").write_text("not a picture")
    (pictures / "train" / "dog" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (pictures / "train" / "dog" / ".DS_Store").write_bytes(b"hidden")
    (pictures / "train" / "dog" / "puppies").mkdir()
    (pictures / "train" / ".ipynb_checkpoints").mkdir()
    (pictures / "train" / "readme.txt").write_text("beside the classes")
    train, _ = load_folder(pictures)
    assert len(train) == 4
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith("Left out of train/: cat/notes.txt, dog/broken.png. The reason for the first: ")
    assert line.endswith("pictures are read as JPEG, PNG, WebP, GIF or BMP.")


def test_of_many_files_that_are_no_pictures_five_are_named(pictures, capsys):
    for k in range(7):
        (pictures / "test" / "cat" / f"{k}.txt").write_text("not a picture")
    load_folder(pictures)
    assert (
        "test/: cat/0.txt, cat/1.txt, cat/2.txt, cat/3.txt, cat/4.txt and 2 more." in capsys.readouterr().out
    )


def remove(folder):
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda p: p.rename(p.with_name("moved")),
            "train cannot be read .*put the pictures in train/<class>/",
        ),
        (lambda p: (p / "test").rename(p / "tset"), "test cannot be read"),
        (
            lambda p: remove(p / "test" / "dog"),
            "class dog has a folder in only one of .*: give each class both",
        ),
        (lambda p: remove(p / "train" / "cat"), "class cat has a folder in only one of"),
        (
            lambda p: [(p / "test" / "dog" / f"{n}.png").unlink() for n in ("wide", "small")],
            "dog holds no pictures",
        ),
        (lambda p: [remove(p / s / c) for s in ("train", "test") for c in COLOURS], "train holds no classes"),
    ],
)
def test_a_folder_without_the_right_folders_in_it_says_what_is_missing(pictures, spoil, words):
    spoil(pictures)
    with pytest.raises(DataError, match=words):
        load_folder(pictures)


def test_a_path_that_is_no_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="train cannot be read"):
        load_folder(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="train cannot be read"):
        load_folder(tmp_path / "file")

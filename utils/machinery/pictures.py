"""Every rule on picture files: formats, sizes, EXIF, transparency, and grey of 16 bits."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
# A reader's own picture may be a phone's: 200 megapixels, or a JPEG with a short film behind it.
MAX_BYTES = 100_000_000
MAX_PIXELS = 200_000_000
# What a link leads to may be anybody's.
MAX_LINK_BYTES = 10_000_000
MAX_LINK_PIXELS = 25_000_000
# A JPEG of more pixels is decoded at 1/2, 1/4 or 1/8, as far as it keeps so many on each side.
LARGE_PIXELS = 25_000_000
ENOUGH_PIXELS = 1_000
# Pillow refuses what has more than twice this many pixels, before it decodes any.
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
# Editors write long notes and colour profiles into a PNG: it may unpack to so many bytes of each.
PngImagePlugin.MAX_TEXT_CHUNK = 8_000_000
PngImagePlugin.MAX_TEXT_MEMORY = 8_000_000


class ImageError(ValueError):
    """A picture that cannot be used; the message is one sentence that says why and what to do."""


def open_image(path: str | os.PathLike) -> Image.Image:
    """The picture in a file on disk, as RGB; `~` is the home folder. Raises ImageError.

    A JPEG of more than 25 megapixels comes at a half, a quarter or an eighth of its size.
    """
    path = Path(os.path.expanduser(path))
    try:
        # Nothing at all, a folder, or a device or a pipe, which might never end.
        if not path.is_file():
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


def decode_image(
    data: bytes,
    name: str = "The file",
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> Image.Image:
    """The picture in the bytes of a file, as RGB; `name` begins the sentences of ImageErrors."""
    if len(data) > max_bytes:
        raise ImageError(
            f"{name} has more than {max_bytes / 1e6:g} MB: save a smaller copy and use that."
        )
    with _one_sentence(name):
        try:
            # This reads the header, not yet the pixels.
            image = Image.open(BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError:
            raise ImageError(f"{name} {_describe(data)}.") from None
        _check_size(image, name, max_pixels)
        if image.width * image.height > LARGE_PIXELS:
            image.draft(None, (ENOUGH_PIXELS, ENOUGH_PIXELS))  # only JPEGs can do that
    return to_rgb(image, name)


def to_rgb(image: Image.Image, name: str = "The picture") -> Image.Image:
    """An upright copy of a PIL image as RGB, transparent parts laid on white. Raises ImageError."""
    _check_size(image, name, MAX_PIXELS)
    if image.mode == "F":
        raise ImageError(f"{name} holds fractions: scale it to whole numbers from 0 to 255 first.")
    with _one_sentence(name):
        image.load()  # of an animation, the first frame
        # A file says how many bits its numbers have, an array does not.
        from_file = image.format is not None
        with suppress(Exception):  # damaged EXIF data, but the pixels are right
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):
            image = _grey_of_8_bits(image, name, from_file)
        if not image.has_transparency_data:
            return image.convert("RGB")
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")


def middle_square(image: Image.Image, size: int) -> Image.Image:
    """The middle square at size x size pixels, each a weighted mean of those that it stands for."""
    edge = min(image.size)
    left = (image.width - edge) // 2
    top = (image.height - edge) // 2
    square = image.crop((left, top, left + edge, top + edge))
    return square.resize((size, size), Image.Resampling.BICUBIC)


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    if not 0 < image.width * image.height <= max_pixels:
        size = f"{image.width:,} x {image.height:,} pixels"
        raise ImageError(f"{name} has {size}: save a copy with 1 to {max_pixels:,} pixels in all.")


def _grey_of_8_bits(image: Image.Image, name: str, from_file: bool) -> Image.Image:
    """A picture of 16-bit or 32-bit grey as 8-bit grey, the value that is transparent as white.

    Of 16 bits the high byte counts. An array whose numbers all lie below 256 holds 8 bits already.
    """
    values = np.asarray(image)
    lowest, highest = int(values.min()), int(values.max())
    if lowest < 0 or highest > 65_535:
        raise ImageError(
            f"{name} holds numbers from {lowest:,} to {highest:,}: scale it to 0 to 255 first."
        )
    has_8_bits = highest < 256 and not from_file
    grey = (values if has_8_bits else values >> 8).astype(np.uint8)
    grey[values == image.info.get("transparency", -1)] = 255
    return Image.fromarray(grey)


def _describe(data: bytes) -> str:
    """What a file is that Pillow does not take for a picture."""
    if data[4:8] == b"ftyp":
        return "is a HEIC, AVIF or MP4 file: save a copy as JPEG or PNG"
    if data[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return (
            "is a web page, not a picture: right-click the picture in it and copy the picture's "
            "own link"
        )
    return "is no JPEG, PNG, WebP, GIF or BMP picture, or a damaged one: save a copy as PNG"


@contextmanager
def _one_sentence(name: str) -> Iterator[None]:
    """Turns whatever Pillow raises into an ImageError, and keeps its warnings to itself."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except ImageError:
        raise
    except Exception:
        # OSError, SyntaxError, ValueError, struct.error, EOFError ...: it depends on the file.
        advice = "save it once more or save a smaller copy"
        raise ImageError(f"{name} is damaged, cut short or too large inside: {advice}.") from None

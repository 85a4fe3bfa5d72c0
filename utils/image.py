"""Every rule on picture files: formats, sizes, and what becomes of EXIF, transparency and 16-bit grey.

Any file ends in an upright RGB picture or an ImageError, and takes at most 200 MB of memory on the way.
More than FULL_SIZE_PIXELS come at half their width and height, which is still far more than a network sees.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
MAX_BYTES = 10_000_000
MAX_PIXELS = 25_000_000
MAX_PIXELS_OF = {"WEBP": 8_300_000, "CMYK": 15_000_000}  # whose decoders need up to 16 bytes a pixel
MAX_SIDE = 20_000  # pixels
FULL_SIZE_PIXELS = MAX_PIXELS // 4
MAX_SCANS = 500  # passes over the pixels of a JPEG: honest ones have up to about 12, and each takes its time
MAX_READS = 100_000  # about three for each part of a file; a file of millions of empty parts fills the memory
PngImagePlugin.MAX_TEXT_MEMORY = 8_000_000  # characters of comments in a PNG

_READS = "pictures are read as JPEG, PNG, WebP, GIF or BMP"
_OTHER = {b"II*\0": "TIFF", b"MM\0*": "TIFF", b"%!PS": "EPS", b"%PDF": "PDF", b"<svg": "SVG", b"<?xml": "XML"}
_UPRIGHT = {  # EXIF orientation (Exif 2.32, tag 0x0112), and what turns the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class ImageError(ValueError):
    """A picture that cannot be used; the message is one sentence that says why and what to do."""


def open_image(path: str | os.PathLike) -> Image.Image:
    """The picture in a file on disk, as RGB; `~` is the home folder. Raises ImageError."""
    path = Path(os.path.expanduser(path))
    try:
        if path.is_dir():
            raise ImageError(f"{path} is a folder, not a picture: give the path of one file in it.")
        if not path.is_file():  # nothing at all, or a device or a pipe, which might never end
            raise ImageError(f"There is no picture file {path}: check its name and the folder it is in.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(
            f"{path} cannot be read ({error.strerror}): check the path and its permissions."
        ) from None
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str = "The file") -> Image.Image:
    """The picture in the bytes of a file, as RGB; `name` begins each error's sentence. Raises ImageError."""
    if not data:
        raise ImageError(f"{name} is empty: save or download it once more.")
    if len(data) > MAX_BYTES:
        raise ImageError(f"{name} has more than {MAX_BYTES / 1e6:g} MB: save a smaller copy and use that.")
    if data.startswith(b"\xff\xd8") and data.count(b"\xff\xda") > MAX_SCANS:
        raise ImageError(f"{name} is a JPEG in more than {MAX_SCANS} scans: save a copy of the usual kind.")
    with _one_sentence(name):
        try:
            image = Image.open(_Reader(data), formats=FORMATS)  # reads the header, not yet the pixels
        except UnidentifiedImageError:
            raise ImageError(f"{name} {_describe(data)}.") from None
        halve = _check_size(image, name)
        if halve and image.format in ("JPEG", "MPO"):  # Pillow can decode a JPEG at half its size
            halve = image.draft(None, (image.width // 2, image.height // 2)) is None
        if image.format == "PNG" and "transparency" in image.info:
            _scale_transparency(image)
        frame = image.tile[0][1] if image.format == "GIF" else None
        image.load()
        return _to_rgb(image, halve, frame)


def to_rgb(image: Image.Image, name: str = "The picture") -> Image.Image:
    """A copy of a PIL image as RGB, by the same rules as a file. Raises ImageError."""
    with _one_sentence(name):
        if image.mode == "F":
            raise ImageError(f"{name} holds fractions: scale it to whole numbers from 0 to 255 first.")
        return _to_rgb(image, _check_size(image, name))


class _Reader(BytesIO):
    """The bytes of a file, for a decoder that may read MAX_READS times (BMP may: it is read byte by byte)."""

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        if self.reads > MAX_READS and not self.getbuffer()[:2] == b"BM":
            raise MemoryError
        return super().read(size)


@contextmanager
def _one_sentence(name: str) -> Iterator[None]:
    """Turns whatever Pillow raises into an ImageError, and keeps its warnings to itself."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImageError:
        raise
    except (MemoryError, Image.DecompressionBombError):
        raise ImageError(f"{name} needs more memory than a picture should: save a smaller copy.") from None
    except Exception:  # OSError, SyntaxError, ValueError, struct.error, EOFError ...: it depends on the file
        raise ImageError(f"{name} is damaged or cut short: save or download it once more.") from None


def _describe(data: bytes) -> str:
    """What a file is that Pillow does not take for a picture."""
    head = data[:1000].removeprefix(b"\xef\xbb\xbf").lstrip()
    kind = next((kind for start, kind in _OTHER.items() if head.startswith(start)), None)
    if kind or head[4:8] == b"ftyp":
        return f"is a file of type {kind or 'HEIC, AVIF or MP4'}, but {_READS}: save a copy as PNG"
    if head.startswith(b"<"):
        return "is a web page, not a picture: right-click the picture in it and copy the picture's own link"
    return f"is no picture or a badly damaged one: {_READS}"


def _check_size(image: Image.Image, name: str) -> bool:
    """Whether an image has to be halved. Raises ImageError where it is too large even for that."""
    pixels = image.width * image.height
    limit = MAX_PIXELS_OF.get(image.format, MAX_PIXELS_OF.get(image.mode, MAX_PIXELS))
    if pixels == 0 or pixels > limit or max(image.size) > MAX_SIDE:
        rule = f"1 to {limit:,} pixels and sides of at most {MAX_SIDE:,}"
        raise ImageError(f"{name} has {image.width:,} x {image.height:,} pixels: save a copy with {rule}.")
    return pixels > FULL_SIZE_PIXELS


def _scale_transparency(image: Image.Image) -> None:
    """Brings the transparent grey or colour of a PNG to 8 bits, as its pixels will be."""
    value, layout = image.info["transparency"], image.tile[0][3]
    if layout in ("L;2", "L;4"):
        image.info["transparency"] = value * (85 if layout == "L;2" else 17)
    elif layout == "RGB;16B":
        image.info["transparency"] = tuple(v >> 8 for v in value)


def _to_rgb(image: Image.Image, halve: bool, frame: tuple[int, int, int, int] | None = None) -> Image.Image:
    """Upright RGB of the frame on white, made band by band, since a second large copy would not fit."""
    left, top, right, bottom = frame or (0, 0, *image.size)  # the first frame of a GIF may be a part of it
    step = 2 if halve else 1
    result = Image.new("RGB", (-(-image.width // step), -(-image.height // step)), "white")
    rows = max(2, 500_000 // image.width // 2 * 2)
    for row in range(top, bottom, rows):
        band = _flatten(image.crop((left, row, right, min(row + rows, bottom))))
        result.paste(band.reduce(step), (left // step, row // step))
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:  # damaged EXIF data, but the pixels are right
        orientation = 1
    return result.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else result


def _flatten(band: Image.Image) -> Image.Image:
    """Any mode as RGB: transparent parts laid on white, 16-bit grey scaled to its high byte."""
    if band.mode.startswith("I"):
        values = np.asarray(band)
        grey = (values.clip(0, 65535) >> 8).astype(np.uint8)
        grey[values == band.info.get("transparency", -1)] = 255
        return Image.fromarray(grey).convert("RGB")
    if not band.has_transparency_data:
        return band.convert("RGB")
    band = band.convert("RGBA")
    white = Image.new("RGB", band.size, "white")
    white.paste(band, mask=band)
    return white

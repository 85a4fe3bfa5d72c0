"""Draw Font digits, the sample that stands in for MNIST where that cannot be had.

0 to 9 in 17 fonts that come with matplotlib, moved, turned, slanted, stretched, thickened; light on
dark: 4,000 training and 1,000 test images of 28 x 28. Nobody who takes the course needs this
program: what it makes is in git.

    python tools/samples/build_font_digits.py        writes into data/samples/, in a few seconds

The same version of Pillow gives the same bytes; another one may draw the edges a little
differently.
"""

import json
import math
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

OUT = Path(__file__).resolve().parents[2] / "data" / "samples"
ROW = 50  # images in a row of the mosaic
# Of the fonts that matplotlib brings, those whose digits look as one expects: DejaVu Sans Mono has
# a dot in its zero, cmmi10 has old-style figures, and most STIX fonts have no digits at all.
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
    *("cmr10", "cmb10", "cmss10", "cmtt10", "cmti10"),
)
FONT_DIGITS = {"train": 4_000, "test": 1_000}  # images in each split


def font_digits(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [count, 28, 28] and labels int64 [count]; each count has draws of its own."""
    rng = np.random.default_rng([28, count])
    glyphs = [_draw_font(font) for font in FONTS]
    labels = rng.permutation(np.arange(count) % 10)
    images = np.zeros((count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        glyph = glyphs[rng.integers(len(FONTS))][label][rng.integers(2)]
        image[:] = _place_digit(glyph, rng)
    return images, labels


def _draw_font(font: str) -> list[tuple[Image.Image, Image.Image]]:
    """The ten digits of a font, each as it is and bold."""
    return [(_draw_digit(font, digit, 0), _draw_digit(font, digit, 1)) for digit in "0123456789"]


def _draw_digit(font: str, digit: str, bold: int) -> Image.Image:
    """One digit, white on black, 80 x 80, in the middle; `bold` adds pixels all round."""
    file = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{font}.ttf")
    face = ImageFont.truetype(str(file), 60, layout_engine=ImageFont.Layout.BASIC)
    left, top, right, bottom = face.getbbox(digit, stroke_width=bold)
    place = (40 - (left + right) / 2, 40 - (top + bottom) / 2)
    image = Image.new("L", (80, 80))
    ImageDraw.Draw(image).text(place, digit, fill=255, font=face, stroke_width=bold)
    return image


def _place_digit(glyph: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """The digit turned by up to 25 degrees, slanted, stretched, and up to 2 pixels off the middle.

    Returns uint8 [28, 28], the digit 15 to 20 pixels high. Drawn at 56 x 56 and halved: smooth
    edges.
    """
    angle = math.radians(rng.uniform(-25, 25))
    slant = rng.uniform(-0.4, 0.4)
    # Pixels of the image for one of the glyph; a digit is about 44 of these.
    height = rng.uniform(0.35, 0.46)
    width = height * rng.uniform(0.65, 1.2)
    shift_x, shift_y = rng.uniform(-2, 2, 2)
    # Pillow asks where in the glyph each pixel of the image comes from: undo the shift, the turn,
    # the slant and the stretch.
    cos = math.cos(angle)
    sin = math.sin(angle)
    a = (cos + slant * sin) / (2 * width)
    b = (sin - slant * cos) / (2 * width)
    d = -sin / (2 * height)
    e = cos / (2 * height)
    x = 28 + 2 * shift_x
    y = 28 + 2 * shift_y
    matrix = (a, b, 40 - a * x - b * y, d, e, 40 - d * x - e * y)
    image = glyph.transform(
        (56, 56), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    ).reduce(2)
    pixels = np.asarray(image, dtype=np.float32) * rng.uniform(0.75, 1.15)
    return pixels.clip(0, 255).astype(np.uint8)


def main() -> None:
    record = {}
    for split, count in FONT_DIGITS.items():
        images, labels = font_digits(count)
        rows = images.reshape(count // ROW, ROW, 28, 28).transpose(0, 2, 1, 3)
        mosaic = Image.fromarray(rows.reshape(-1, ROW * 28))
        mosaic.save(OUT / f"font_digits_{split}.webp", lossless=True, quality=100, method=6)
        record[split] = {"labels": "".join(map(str, labels))}
    (OUT / "font_digits.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""Build Emoji-10, the sample that stands in for CIFAR-10 where that cannot be had.

The ten classes of CIFAR-10, drawn from emoji of three art styles on random backgrounds: 4,000
training and 1,000 test images of 32 x 32. Nobody who takes the course needs this program: what it
makes is in git.

It needs the course's requirements, `pip install resvg-py==0.5.0`, and the icons, fetched into a
folder with

    npm pack @iconify-json/noto@1.2.9 @iconify-json/fluent-emoji-flat@1.2.6
    npm pack @iconify-json/twemoji@1.2.5

    python tools/samples/build_emoji10.py FOLDER      writes into data/samples/, in 20 seconds

The same seed and the same versions of Pillow and resvg-py give the same bytes. Licences:
data/README.md.
"""

import argparse
import io
import json
import tarfile
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image, ImageEnhance, ImageFilter

OUT = Path(__file__).resolve().parents[2] / "data" / "samples"
SEED = 10
SIZE = 32
SPLITS = {"train": (4_000, 80), "test": (1_000, 40)}  # images, and images in a row of the mosaic
STYLES = {"noto": "noto-1.2.9", "fluent": "fluent-emoji-flat-1.2.6", "twemoji": "twemoji-1.2.5"}
CODE_POINTS = {
    "airplane": "2708 1f6e9 1f6eb 1f6ec",
    "automobile": "1f697 1f699 1f698 1f3ce 1f695 1f693",
    "bird": "1f426 1f985 1f986 1f989 1f99c 1f54a 1f427 1f413",
    "cat": "1f431 1f408 1f63a",
    "deer": "1f98c 1face",
    "dog": "1f436 1f415 1f429",
    "frog": "1f438",
    "horse": "1f434 1f40e",
    "ship": "1f6a2 26f4 1f6f3 1f6e5 26f5",
    "truck": "1f69a 1f69b 1f6fb 1f692",
}


def read_glyphs(archive: Path) -> list[list[Image.Image]]:
    """The glyphs of one icon package, a list a class: RGBA, 96 pixels, no empty margin."""
    with tarfile.open(archive) as package:
        icons = json.load(package.extractfile("package/icons.json"))
        names = json.load(package.extractfile("package/chars.json"))
    side = icons["width"]  # the icons of these packages are square

    def render(code_point: str) -> Image.Image:
        body = icons["icons"][names[code_point]]["body"]
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {side}">{body}</svg>'
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=96, height=96))
        glyph = Image.open(io.BytesIO(png)).convert("RGBA")
        return glyph.crop(glyph.getbbox())

    return [[render(code) for code in codes.split()] for codes in CODE_POINTS.values()]


def draw_background(rng: np.random.Generator) -> Image.Image:
    """A blurred patch of a few random colours, from nearly grey to gaudy and from dark to light."""
    cells = int(rng.integers(2, 6))
    colours = rng.uniform(0, 255, (cells, cells, 3))
    grey = colours.mean(axis=2, keepdims=True)
    colours = grey + rng.uniform(0.2, 1.3) * (colours - grey)
    colours = rng.uniform(50, 205) + rng.uniform(0.4, 1.0) * (colours - colours.mean())
    patch = Image.fromarray(colours.clip(0, 255).astype(np.uint8))
    patch = patch.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return patch.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 3)))


def vary_glyph(glyph: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The glyph, perhaps flipped, turned by up to 25 degrees, 18 to 34 pixels, recoloured."""
    if rng.random() < 0.5:
        glyph = glyph.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    glyph = glyph.rotate(rng.uniform(-25, 25), Image.Resampling.BICUBIC, expand=True)
    glyph = glyph.crop(glyph.getbbox())
    scale = rng.uniform(18, 34) / max(glyph.size)
    size = (max(1, round(glyph.width * scale)), max(1, round(glyph.height * scale)))
    glyph = glyph.resize(size, Image.Resampling.LANCZOS)

    alpha = glyph.getchannel("A")
    colour = glyph.convert("RGB")
    hue, saturation, value = colour.convert("HSV").split()
    turn = int(rng.integers(-14, 15))  # of 256 steps round the colour circle
    colour = Image.merge("HSV", (hue.point(lambda h: (h + turn) % 256), saturation, value)).convert(
        "RGB"
    )
    for enhance, low, high in (
        (ImageEnhance.Color, 0.5, 1.3),
        (ImageEnhance.Contrast, 0.8, 1.2),
        (ImageEnhance.Brightness, 0.8, 1.2),
    ):
        colour = enhance(colour).enhance(rng.uniform(low, high))
    colour.putalpha(alpha)
    return colour


def draw_image(glyph: Image.Image, rng: np.random.Generator) -> np.ndarray:
    """One image of the sample: uint8 [32, 32, 3]."""
    image = draw_background(rng)
    glyph = vary_glyph(glyph, rng)
    reach = [abs(SIZE - side) // 2 + 1 for side in glyph.size]
    left = (SIZE - glyph.width) // 2 + int(rng.integers(-reach[0], reach[0] + 1))
    top = (SIZE - glyph.height) // 2 + int(rng.integers(-reach[1], reach[1] + 1))
    # A soft shadow, dark or light: a glyph in the colours of its background still stands out.
    shadow = Image.new("L", image.size)
    shadow_left = left + int(rng.integers(-1, 2))
    shadow_top = top + int(rng.integers(0, 2))
    shadow.paste(glyph.getchannel("A"), (shadow_left, shadow_top))
    strength = rng.uniform(0.2, 0.8)
    shadow = shadow.filter(ImageFilter.GaussianBlur(1.5)).point(lambda alpha: int(alpha * strength))
    image.paste("black" if rng.random() < 0.7 else "white", (0, 0), shadow)
    image.paste(glyph, (left, top), glyph)

    pixels = np.asarray(image, dtype=np.float64)
    pixels = pixels.mean() + rng.uniform(0.8, 1.15) * (pixels - pixels.mean())
    pixels = pixels + rng.uniform(-15, 15) + rng.normal(0, rng.uniform(1, 7), pixels.shape)
    return pixels.round().clip(0, 255).astype(np.uint8)


def build_split(
    glyphs: list[list[list[Image.Image]]], images: int, columns: int, rng: np.random.Generator
) -> tuple[Image.Image, dict[str, str]]:
    """One split: its mosaic, and each image's class and style, row by row, as strings of digits.

    Every class is as often as every other; inside a class the styles take turns, and in each the
    glyphs.
    """
    drawn = []
    for label in range(len(CODE_POINTS)):
        for i in range(images // len(CODE_POINTS)):
            style = (i + label) % len(STYLES)
            choices = glyphs[style][label]
            glyph = choices[i // len(STYLES) % len(choices)]
            drawn.append((draw_image(glyph, rng), label, style))
    drawn = [drawn[i] for i in rng.permutation(images)]
    mosaic = np.stack([image for image, _, _ in drawn]).reshape(-1, columns, SIZE, SIZE, 3)
    mosaic = mosaic.transpose(0, 2, 1, 3, 4).reshape(-1, columns * SIZE, 3)
    labels = "".join(str(label) for _, label, _ in drawn)
    styles = "".join(str(style) for _, _, style in drawn)
    return Image.fromarray(mosaic), {"labels": labels, "styles": styles}


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Build the sample Emoji-10 from three icon packages."
    )
    parser.add_argument("folder", type=Path, help="where `npm pack` put the three .tgz files")
    parser.add_argument(
        "--out", type=Path, default=OUT, help="where to write (default: data/samples/)"
    )
    args = parser.parse_args()

    archives = [args.folder / f"iconify-json-{package}.tgz" for package in STYLES.values()]
    for archive in archives:
        if not archive.is_file():
            raise SystemExit(
                f"There is no {archive}: fetch it with the `npm pack` lines of this program."
            )
    glyphs = [read_glyphs(archive) for archive in archives]
    rng = np.random.default_rng(SEED)
    record = {"classes": list(CODE_POINTS), "styles": list(STYLES)}
    for split, (images, columns) in SPLITS.items():
        mosaic, record[split] = build_split(glyphs, images, columns, rng)
        mosaic.save(args.out / f"emoji10_{split}.webp", quality=90, method=6)
    (args.out / "emoji10.json").write_text(
        json.dumps(record, separators=(",", ":")) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()

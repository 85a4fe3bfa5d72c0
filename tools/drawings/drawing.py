"""The small library of the course's drawings: boxes, arrows, feature maps, strips, the legend.

The drawings of a notebook stand in a file of their own, draw_NN.py. Its DRAWINGS name the files
that it makes in notebooks/figures, each with the function that draws it. Nothing else lists them.

    python tools/drawings/draw_05.py                 makes the drawings of notebook 05
    python tools/drawings                            makes all of them
    python tools/drawings/draw_05.py --svg FOLDER    writes them as SVG files into FOLDER

They need the course's requirements and `pip install resvg-py==0.5.0`, which turns SVG into pixels
and asks nothing of the system. The letters are DejaVu Sans, which comes with matplotlib: the same
versions give the same bytes everywhere.

Rounded boxes are operations, in the colours of ROLES; grey squares and slabs are feature maps.
Lengths are pixels of a drawing 980 pixels wide; a file has twice as many. x goes right, y goes
down, and a thing is placed by its middle.
"""

import argparse
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageFont

FIGURES = Path(__file__).resolve().parents[2] / "notebooks" / "figures"
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
REGULAR, BOLD = FONTS / "DejaVuSans.ttf", FONTS / "DejaVuSans-Bold.ttf"
FAMILY = "DejaVu Sans, Verdana, sans-serif"  # Verdana's letters are as wide
WIDTH = 980
COLOURS = 48  # of a PNG file


class Role(NamedTuple):
    words: str
    fill: str
    stroke: str


ROLES = {  # what a colour means. From Okabe and Ito, 2008, made lighter for dark text
    "conv": Role("convolution", "#9CCBE8", "#0072B2"),
    "pointwise": Role("1 × 1 (pointwise)", "#E2F3FD", "#3D9BD1"),
    "depthwise": Role("depthwise", "#A9DCCB", "#00805D"),
    "gate": Role("squeeze-and-excitation, gate", "#F7C661", "#A87400"),
    "pool": Role("pooling, mean", "#FBF7BE", "#8F8700"),
    "linear": Role("fully connected", "#FFFFFF", "#000000"),
    "add": Role("add", "#FCD9C5", "#D55E00"),
    "shuffle": Role("shuffle", "#F0CFE1", "#B5578B"),
    "join": Role("split, concatenate", "#FFFFFF", "#6B6B6B"),
    "data": Role("data: a feature map", "#D3D6D8", "#6E7378"),
}
MAP, ADD = ROLES["data"], ROLES["add"]
INK, FAINT, PALE, STRONG = "#262626", "#5A5F63", "#E8ECEF", "#34495A"
RULE, OUTSIDE = "#D9DCDE", "#C9CDD0"  # a line between two halves; the outline of what is not there


@cache
def font(path: Path) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), 100, layout_engine=ImageFont.Layout.BASIC)


def text_width(words: str, size: float, bold: bool = False) -> float:
    """The pixels that a line of text takes."""
    return font(BOLD if bold else REGULAR).getlength(words) * size / 100


def joined(attributes: dict[str, object]) -> str:
    pairs = [f'{name.replace("_", "-")}="{value}"' for name, value in attributes.items()]
    return " ".join(pairs)


class Picture:
    """An SVG drawing on a white ground; with keep_svg it is saved as an SVG file, too."""

    def __init__(self, title: str, height: int, width: int = WIDTH, keep_svg: bool = False) -> None:
        self.keep_svg = keep_svg
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" font-family="{FAMILY}">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
        ]

    def svg(self) -> str:
        return "\n".join([*self.parts, "</svg>"]) + "\n"

    def draw(self, tag: str, content: str = "", /, **attributes: object) -> None:
        """An SVG element; font_size is SVG's font-size."""
        start = f"<{tag} {joined(attributes)}"
        self.parts.append(f"{start}>{content}</{tag}>" if content else f"{start}/>")

    @contextmanager
    def group(self, **attributes: object) -> Iterator[None]:
        """What is drawn inside shares these attributes."""
        self.parts.append(f"<g {joined(attributes)}>")
        yield
        self.parts.append("</g>")

    def text(
        self,
        x: float,
        y: float,
        words: object,
        size: float = 13,
        bold: bool = False,
        anchor: str = "middle",
        fill: str = INK,
    ) -> None:
        """Lines of text, the middle of them at y; anchor is start, middle or end."""
        lines = str(words).split("\n") if words != "" else []
        look: dict[str, object] = {"font_size": f"{size:g}", "fill": fill, "text_anchor": anchor}
        if bold:
            look["font_weight"] = "bold"
        for i, line in enumerate(lines):
            middle = y + (i - (len(lines) - 1) / 2) * size * 1.25
            at = {"x": f"{x:g}", "y": f"{middle + size * 0.35:.1f}"}
            self.draw("text", escape(line), **at, **look)

    def small(
        self, x: float, y: float, words: object, anchor: str = "middle", fill: str = INK
    ) -> None:
        self.text(x, y, words, 12, anchor=anchor, fill=fill)

    def note(self, x: float, y: float, words: object) -> None:
        self.small(x, y, words, "start", FAINT)

    def title(self, x: float, y: float, words: object) -> None:
        self.text(x, y, words, 14, bold=True)

    def rect(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        fill: str = "none",
        stroke: str = "none",
        **more: object,
    ) -> None:
        at = {"x": f"{x - w / 2:.2f}", "y": f"{y - h / 2:.2f}"}
        size = {"width": f"{w:.2f}", "height": f"{h:.2f}"}
        self.draw("rect", **at, **size, fill=fill, stroke=stroke, **more)

    def tile(self, role: str, x: float, y: float, w: float, h: float, line: float = 1) -> None:
        """A rectangle with sharp corners, in the colours of a role."""
        _, fill, stroke = ROLES[role]
        self.rect(x, y, w, h, fill, stroke, stroke_width=line)

    def circle(self, x: float, y: float, r: float, fill: str, **more: object) -> None:
        self.draw("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=f"{r:g}", fill=fill, **more)

    def box(
        self,
        role: str,
        x: float,
        y: float,
        w: float,
        h: float,
        words: str = "",
        small: str = "",
    ) -> None:
        """An operation: its name and, below that, its batch norm and activation."""
        _, fill, stroke = ROLES[role]
        dashes = {"stroke_dasharray": "4 3"} if role == "join" else {}
        self.rect(x, y, w, h, fill, stroke, rx=5, stroke_width=1.5, **dashes)
        self.box_text(x, y, words, small)

    def box_text(self, x: float, y: float, words: str, small: str = "") -> None:
        above = words.count("\n") + 1
        below = small.count("\n") + 1 if small else 0
        self.text(x, y - below * 7, words)
        if small:
            self.text(x, y + above * 8, small, 11.5)

    def sign(self, role: str, x: float, y: float, sign: str = "+") -> None:
        """An operation of two maps, value by value: + or ×."""
        _, fill, stroke = ROLES[role]
        strokes = {"+": "M-5 0H5M0 -5V5", "×": "M-4 -4L4 4M-4 4L4 -4"}
        self.circle(x, y, 10, fill, stroke=stroke, stroke_width=1.5)
        at = f"translate({x:g} {y:g})"
        self.draw("path", d=strokes[sign], transform=at, stroke=INK, stroke_width=1.8)

    def line(
        self,
        *points: tuple[float, float],
        stroke: str = FAINT,
        width: float = 1.5,
        dashed: bool = False,
        halo: bool = False,
    ) -> None:
        """A line through points (x, y). With a halo, lines that it crosses seem to pass below."""
        d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        look: dict[str, object] = {"fill": "none", "stroke_linejoin": "round"}
        if halo:
            self.draw("path", d=d, stroke="#ffffff", stroke_width=width + 6, **look)
        if dashed:
            look["stroke_dasharray"] = "5 4"
        self.draw("path", d=d, stroke=stroke, stroke_width=width, **look)

    def polygon(
        self,
        corners: Sequence[tuple[float, float]],
        fill: str,
        stroke: str = "none",
        line: float = 0.8,
    ) -> None:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        look = {"stroke_width": line, "stroke_linejoin": "round"} if stroke != "none" else {}
        self.draw("polygon", points=points, fill=fill, stroke=stroke, **look)

    def arrow(self, *points: tuple[float, float], stroke: str = FAINT, **more: Any) -> None:
        """A line that ends in a head."""
        (x0, y0), (x, y) = points[-2:]
        length = ((x - x0) ** 2 + (y - y0) ** 2) ** 0.5
        dx, dy = (x - x0) / length, (y - y0) / length
        self.line(*points[:-1], (x - 5 * dx, y - 5 * dy), stroke=stroke, **more)
        back_x, back_y = x - 8 * dx, y - 8 * dy
        left = back_x + 4 * dy, back_y - 4 * dx
        right = back_x - 4 * dy, back_y + 4 * dx
        self.polygon([(x, y), left, right], stroke)

    def slab(self, x: float, y: float, w: float, h: float, deep: float = 0) -> None:
        """A feature map: its face at (x, y), its channels going back to the upper right."""
        left, right = x - w / 2, x + w / 2
        top, bottom = y - h / 2, y + h / 2
        dx, dy = deep * 0.9, -deep * 0.45
        above = [(left, top), (left + dx, top + dy), (right + dx, top + dy), (right, top)]
        beside = [(right, top), (right + dx, top + dy), (right + dx, bottom + dy), (right, bottom)]
        face = [(left, top), (right, top), (right, bottom), (left, bottom)]
        self.polygon(above, "#E9EBEC", MAP.stroke)
        self.polygon(beside, "#AFB4B8", MAP.stroke)
        self.polygon(face, MAP.fill, MAP.stroke)

    def grid(
        self,
        x: float,
        y: float,
        n: int,
        cell: float,
        chosen: Collection[tuple[int, int]] = (),
        role: str = "conv",
    ) -> None:
        """A map of n × n pixels; the chosen ones, (column, row), have the colours of `role`."""
        for row in range(n):
            for column in range(n):
                at = x + cell * (column - (n - 1) / 2), y + cell * (row - (n - 1) / 2)
                colours = role if (column, row) in chosen else "data"
                self.tile(colours, *at, cell, cell, 0.8)

    def column(
        self,
        x: float,
        top: float,
        boxes: Sequence[tuple[str, str, str]],
        step: float,
        width: float,
    ) -> list[float]:
        """Boxes (role, words, small words) below one another, with arrows; gives their heights."""
        heights = [top + step * k for k in range(len(boxes))]
        for (role, words, small), y in zip(boxes, heights, strict=True):
            self.box(role, x, y, width, 40, words, small)
            if y != top:
                self.arrow((x, y - step + 20), (x, y - 20))
        return heights

    def key(self, x: float, y: float, roles: Sequence[str], gap: float = 16) -> None:
        """A row of the legend."""
        for role in roles:
            words = ROLES[role].words
            if role == "data":
                self.slab(x + 8, y, 14, 14)
            elif role == "add":
                self.sign(role, x + 8, y)
            else:
                self.box(role, x + 8, y, 16, 14)
            self.small(x + 23, y, words, "start")
            x += 23 + text_width(words, 12) + gap

    def photo(self, x: float, y: float, side: float, channels: int = 3) -> None:
        """The picture that goes into a network: a ship, or with one channel a digit."""
        if channels == 1:
            self.seven(x, y, side)
            return
        u = side / 10
        self.rect(x, y, side, side, "#E3E6E8", MAP.stroke)
        self.rect(x, y + 3.5 * u, side, 3 * u, "#A3A9AD")
        hull = f"M{x - 3.6 * u:.1f} {y + u:.1f}h{7.2 * u:.1f}"
        hull += f"l{-1.4 * u:.1f} {2 * u:.1f}h{-4.4 * u:.1f}z"
        self.draw("path", d=hull, fill="#4F565B")
        self.rect(x - u / 2, y, 3 * u, 2 * u, "#777E83")
        self.rect(x + 0.6 * u, y - 2 * u, 1.2 * u, 2 * u, "#777E83")

    def seven(self, x: float, y: float, side: float) -> None:
        u = side / 10
        self.rect(x, y, side, side, INK, MAP.stroke)
        d = f"M{x - 2 * u:.1f} {y - 2.5 * u:.1f}H{x + 2 * u:.1f}L{x - u / 2:.1f} {y + 3 * u:.1f}"
        self.draw("path", d=d, fill="none", stroke="#ffffff", stroke_width=f"{u:.1f}")


# ------------------------------------------------------------------------------------------
# Strips: a whole network as a row of maps to scale, with bars for the blocks between them.


class Block(NamedTuple):
    """The operations of a block from top to bottom, a list for each of its branches."""

    branches: Sequence[Sequence[str]]
    later: Sequence[Sequence[str]] = ()  # where all blocks of a row but the first differ
    shortcut: str = ""  # "all" blocks of a row have one, or the "later" ones
    shuffled: bool = False
    column: float = 9  # pixels of a branch

    def of(self, i: int) -> Sequence[Sequence[str]]:
        """The branches of the i-th block of a row."""
        return self.later if i and self.later else self.branches

    def pitch(self) -> float:
        """From one block to the next."""
        return self.column * len(self.branches) + (3 if len(self.branches) == 1 else 6)

    def roles(self) -> set[str]:
        found = {role for branch in self.branches for role in branch}
        if self.shortcut:
            found.add("add")
        if self.shuffled:
            found.add("shuffle")
        return found


class Row(NamedTuple):
    """One or several equal blocks, and the map that comes out: its channels and its side."""

    block: Block | None  # None: the picture is enlarged
    layer: str
    kernel: str = ""
    factor: str = ""
    blocks: int = 1  # 0: one, of which there is nothing to count
    stride: int | str = ""
    channels: int = 0  # 0: as before
    side: int = 0  # 0: one score for each class

    def heading(self, word: str) -> str:
        """What stands above the bars in the line of this word."""
        value = getattr(self, word)
        if word == "blocks":
            return f"× {value}" if value else ""
        return str(value)


CONV, POINTWISE = Block([["conv"]]), Block([["pointwise"]])
CONV_POOL = Block([["conv", "pool"]])
MEAN, LINEAR = Block([["pool"]]), Block([["linear"]])
SCORES = Row(LINEAR, "linear", blocks=0, channels=10)
END = [Row(MEAN, "mean", blocks=0, side=1), SCORES]


class Place(NamedTuple):
    """Where a row stands in a strip."""

    row: Row
    channels: int
    start: float  # where its arrow begins
    bars: float  # the left edge of its blocks
    bars_width: float
    left: float  # the left edge of its map
    face: float  # the width of the map
    deep: float  # how far its channels go back


FIRST = 88  # the left edge of the picture that goes in
ARC = 40  # bars and arcs reach so far from the middle line


def strip(
    title: str,
    rows: Sequence[Row],
    scale: float,
    thin: float,
    side: int = 32,
    channels: int = 3,
) -> Picture:
    """A network as a strip.

    scale: pixels of the drawing for a pixel of a map; thin: for a channel. side and channels are
    those of the picture that goes in.
    """
    words: Sequence[str] = ("layer", "kernel", "factor", "blocks", "stride")
    if all(row.blocks < 2 for row in rows):
        words = ("layer", "kernel", "factor", "stride")
    heads = [word for word in words if any(row.heading(word) for row in rows)]
    places = arrange(rows, scale, thin, side)
    labels = labels_below(places, scale * side, side, channels)
    size = label_size(places, heads, labels)
    line = size + 6

    tallest = max(scale * place.row.side + place.deep / 2 for place in places)
    reach = max(tallest / 2, scale * side / 2, ARC)
    middle = 12 + line * len(heads) + reach + 4
    below = middle + reach + 16
    title = f"{title} on {side} × {side} pixels: its feature maps to scale, the blocks between them"
    p = Picture(title, round(below + line + 80))
    draw_headings(p, places, heads, size)
    p.photo(FIRST + scale * side / 2, middle, scale * side, channels)
    for place in places:
        draw_place(p, place, middle, scale)
    for k, word in enumerate(("map", "channels")):
        p.text(12, below + line * k, word, size, anchor="start", fill=FAINT)
        for x, lines in labels:
            p.text(x, below + line * k, lines[k], size)

    used = set().union(*(row.block.roles() for row in rows if row.block))
    p.key(12, below + line + 30, [role for role in ROLES if role in used], gap=13)
    p.note(12, below + line + 58, strip_note(used))
    return p


def strip_note(used: set[str]) -> str:
    words = "A bar is a block: read its operations from top to bottom."
    if "add" in used:
        words += " An arc is its shortcut."
    if "shuffle" in used:
        words += " Beside a bar: the half that passes, or the second branch."
    return words


def arrange(rows: Sequence[Row], scale: float, thin: float, side: int) -> list[Place]:
    """Places for all rows, with equal gaps between bars and maps."""
    bars: list[float] = []
    faces: list[float] = []
    depths: list[float] = []
    channels: list[int] = []
    for i, row in enumerate(rows):
        bars.append(max(row.blocks, 1) * row.block.pitch() if row.block else 4)
        faces.append(max(scale * row.side, 3) if row.side else 9)
        channels.append(row.channels or channels[i - 1])
        depths.append(thin * channels[i] * 0.9 if row.side else 0)
    used = scale * side + sum(bars) + sum(faces) + sum(depths)
    gap = (WIDTH - FIRST - 30 - used) / (2 * len(rows))
    places = []
    x = FIRST + scale * side
    for row, wide, face, deep, count in zip(rows, bars, faces, depths, channels, strict=True):
        left = x + gap + wide + gap
        places.append(Place(row, count, x, x + gap, wide, left, face, deep))
        x = left + face + deep
    return places


def labels_below(
    places: Sequence[Place], photo: float, side: int, channels: int
) -> list[tuple[float, tuple[str, str]]]:
    """What stands below the maps: where, and the lines."""
    labels = [(FIRST + photo / 2, (f"{side} × {side}", str(channels)))]
    for place in places:
        row = place.row
        if row.side:
            flat = place.face < 3 * place.deep  # a map so small that it is seen from the side
            x = place.left + (place.face + place.deep * flat) / 2
            labels.append((x, (f"{row.side} × {row.side}", f"{place.channels:,}")))
        else:
            labels.append((place.left + 4.5, ("classes", f"{row.channels}")))
    return labels


def label_size(places: Sequence[Place], heads: Sequence[str], labels: Sequence[tuple]) -> float:
    """The largest letters with which no label touches its neighbour."""
    lines = [[(x, lines[k]) for x, lines in labels] for k in (0, 1)]
    for word in heads:
        lines.append([(p.bars + p.bars_width / 2, p.row.heading(word)) for p in places])
    size = 14.0
    while size > 11 and not all(apart(line, size) for line in lines):
        size -= 0.5
    return size


def apart(line: Sequence[tuple[float, str]], size: float) -> bool:
    end = 0.0
    for x, words in line:
        half = text_width(words, size, bold=True) / 2
        if words and x - half < end + 5:
            return False
        end = x + half if words else end
    return end < WIDTH - 6


def draw_headings(p: Picture, places: Sequence[Place], heads: Sequence[str], size: float) -> None:
    for k, word in enumerate(heads):
        y = 18 + (size + 6) * k
        p.text(12, y, word, size, anchor="start", fill=FAINT)
        for place in places:
            x = place.bars + place.bars_width / 2
            value = place.row.heading(word)
            if word == "stride" and value == "2":
                p.circle(x, y, size * 0.75, STRONG)
                p.text(x, y, "2", size, bold=True, fill="#ffffff")
            else:
                p.text(x, y, value, size, bold=word == "layer")


def draw_place(p: Picture, place: Place, middle: float, scale: float) -> None:
    row = place.row
    p.arrow((place.start + 3, middle), (place.left - 3, middle))
    if row.block:
        draw_bars(p, place.bars, middle, row.block, max(row.blocks, 1))
    x = place.left + place.face / 2
    if not row.side:
        for k in range(10):
            p.tile("data", x, middle + (k - 4.5) * 8, 7, 7, 0.8)
    elif row.block:
        p.slab(x, middle + place.deep / 4, place.face, place.face, place.deep / 0.9)
    else:
        p.photo(x, middle, place.face, place.channels)


def draw_bars(p: Picture, x: float, y: float, block: Block, blocks: int) -> None:
    """Blocks side by side, the left edge of the first at x."""
    for i in range(blocks):
        left = x + i * block.pitch()
        for k, branch in enumerate(block.of(i)):
            draw_branch(p, left + block.column * (k + 0.5), y, branch, block.column)
        wide = block.column * len(block.branches)
        if block.shuffled:
            p.tile("shuffle", left + wide / 2, y + 27, wide, 10, 1.2)
        if block.shortcut == "all" or (block.shortcut and i):
            d = f"M{left - 2:.1f} {y - 22:.1f}c1 -14 {wide + 3:g} -14 {wide + 4:g} 0"
            p.draw("path", d=d, fill="none", stroke=ADD.stroke, stroke_width=1.8)


def draw_branch(p: Picture, x: float, y: float, branch: Sequence[str], width: float) -> None:
    if not branch:  # a half that passes
        p.line((x, y - 21), (x, y + 21))
    for j, role in enumerate(branch):
        high = 42 / len(branch)
        p.tile(role, x, y - 21 + (j + 0.5) * high, width, high, 1.2)


# ------------------------------------------------------------------------------------------
# Files


def png(svg: str) -> bytes:
    """A drawing as a PNG file of twice its size."""
    import resvg_py  # here, since only whoever makes the files needs it

    rendered = resvg_py.svg_to_bytes(
        svg_string=svg,
        zoom=2,
        background="#ffffff",
        skip_system_fonts=True,
        font_files=[str(REGULAR), str(BOLD)],
    )
    file = io.BytesIO()
    image = Image.open(io.BytesIO(bytes(rendered))).convert("RGB")
    few_colours(image).save(file, "PNG", optimize=True)
    return file.getvalue()


def few_colours(image: Image.Image) -> Image.Image:
    """An image with its COLOURS most frequent colours.

    Each other colour, of the soft edges of letters and lines, becomes the nearest of them.
    """
    pixels = np.asarray(image).astype(int)
    packed = pixels[..., 0] * 65536 + pixels[..., 1] * 256 + pixels[..., 2]
    values, place, counts = np.unique(packed, return_inverse=True, return_counts=True)
    colours = np.stack([values // 65536, values // 256 % 256, values % 256], axis=1)
    palette = colours[np.argsort(-counts, kind="stable")[:COLOURS]]
    distances = ((colours[:, None] - palette) ** 2).sum(axis=2)
    nearest = distances.argmin(axis=1).astype(np.uint8)
    few = Image.fromarray(nearest[place].reshape(packed.shape))
    few.putpalette(palette.astype(np.uint8).tobytes())
    return few


def main(drawings: dict[str, Callable[[], Picture]]) -> None:
    """Make these drawings, as the command line says."""
    parser = argparse.ArgumentParser(description="Make drawings of the course's notebooks.")
    parser.add_argument("--svg", type=Path, metavar="FOLDER", help="write SVG files into FOLDER")
    folder = parser.parse_args().svg
    for name, draw in drawings.items():
        picture = draw()
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.svg").write_text(picture.svg(), "utf-8")
        else:
            (FIGURES / f"{name}.png").write_bytes(png(picture.svg()))
            if picture.keep_svg:
                (FIGURES / f"{name}.svg").write_text(picture.svg(), "utf-8", newline="\n")
        print(name)

"""Draws the course's pictures, as SVG and in one set of colours.

python notebooks/figures/draw.py       draws all of them
python notebooks/figures/draw.py 10    draws those whose names begin so

The drawings of a notebook stand in draw_NN.py beside this file, or below.

Rounded boxes are operations, in the colours of ROLES; grey squares and slabs are feature maps. Lengths are pixels,
x goes right, y goes down, and a thing is placed by its middle.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
ROLES = {  # what a colour means: its words, fill, outline. From Okabe and Ito, 2008, made lighter for dark text
    "conv": ("convolution", "#9CCBE8", "#0072B2"),
    "pointwise": ("1 × 1 (pointwise)", "#E2F3FD", "#3D9BD1"),
    "depthwise": ("depthwise", "#A9DCCB", "#00805D"),
    "gate": ("squeeze-and-excitation, gate", "#F7C661", "#A87400"),
    "pool": ("pooling, mean", "#FBF7BE", "#8F8700"),
    "linear": ("fully connected", "#FFFFFF", "#000000"),
    "add": ("add", "#FCD9C5", "#D55E00"),
    "shuffle": ("shuffle", "#F0CFE1", "#B5578B"),
    "join": ("split, concatenate", "#FFFFFF", "#6B6B6B"),
    "data": ("data: a feature map", "#D3D6D8", "#6E7378"),
}
INK, FAINT, PALE, STRONG = "#262626", "#5A5F63", "#E8ECEF", "#34495A"


class Picture:
    """An SVG drawing on a white ground of its own."""

    def __init__(self, title: str, width: int, height: int):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, sans-serif">',
            f"<title>{escape(title)}</title>",
            f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
        ]

    def draw(self, tag: str, content: str = "", **attributes: object) -> None:
        words = " ".join(
            f'{name.replace("_", "-")}="{value}"' for name, value in attributes.items()
        )
        self.parts.append(f"<{tag} {words}>{content}</{tag}>" if content else f"<{tag} {words}/>")

    def save(self, name: str) -> None:
        (HERE / f"{name}.svg").write_text(
            "\n".join([*self.parts, "</svg>"]) + "\n", encoding="utf-8"
        )

    def text(
        self,
        x: float,
        y: float,
        words: object,
        size: float = 12,
        bold=False,
        anchor="middle",
        fill=INK,
    ):
        """Lines of text, the middle of them at y; anchor is start, middle or end."""
        lines = str(words).split("\n") if words != "" else []
        for i, line in enumerate(lines):
            middle = y + (i - (len(lines) - 1) / 2) * size * 1.25
            look = {"font_size": size, "fill": fill, "text_anchor": anchor}
            look |= {"font_weight": "bold"} if bold else {}
            self.draw("text", escape(line), x=f"{x:g}", y=f"{middle + size * 0.35:.1f}", **look)

    def small(self, x: float, y: float, words: object, anchor="middle", fill=INK) -> None:
        self.text(x, y, words, 11, anchor=anchor, fill=fill)

    def note(self, x: float, y: float, words: object) -> None:
        self.small(x, y, words, "start", FAINT)

    def rect(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        fill: str,
        stroke: str,
        rx: float = 0,
        **more: object,
    ):
        at = {
            "x": f"{x - w / 2:.2f}",
            "y": f"{y - h / 2:.2f}",
            "width": f"{w:.2f}",
            "height": f"{h:.2f}",
        }
        self.draw("rect", **at, **({"rx": rx} if rx else {}), fill=fill, stroke=stroke, **more)

    def box(
        self, role: str, x: float, y: float, w: float, h: float, words: object = "", small: str = ""
    ) -> None:
        """An operation, with its name and below that, in small letters, its batch norm and activation."""
        _, fill, stroke = ROLES[role]
        self.rect(
            x,
            y,
            w,
            h,
            fill,
            stroke,
            5,
            stroke_width=1.5,
            **({"stroke_dasharray": "4 3"} if role == "join" else {}),
        )
        lines, smalls = str(words).count("\n") + 1, small.count("\n") + 1 if small else 0
        self.text(x, y - smalls * 6.5, words)
        if small:
            self.text(x, y + lines * 7.5, small, 10.5, fill=INK)

    def circle(self, role: str, x: float, y: float, sign: str = "+") -> None:
        """An operation of two maps, value by value: + or ×."""
        _, fill, stroke = ROLES[role]
        self.draw("circle", cx=x, cy=y, r=10, fill=fill, stroke=stroke, stroke_width=1.5)
        d = {"+": "M-5 0H5M0 -5V5", "×": "M-4 -4L4 4M-4 4L4 -4"}[sign]
        self.draw("path", d=d, transform=f"translate({x} {y})", stroke=INK, stroke_width=1.8)

    def line(
        self, *points: tuple, stroke: str = FAINT, width: float = 1.5, dashed=False, halo=False
    ) -> None:
        d = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        look = {"fill": "none", "stroke_linejoin": "round"}
        if halo:  # so that the lines that it crosses seem to pass below
            self.draw("path", d=d, stroke="#ffffff", stroke_width=width + 6, **look)
        self.draw(
            "path",
            d=d,
            stroke=stroke,
            stroke_width=width,
            **look,
            **({"stroke_dasharray": "5 4"} if dashed else {}),
        )

    def arrow(self, *points: tuple, stroke: str = FAINT, **more: object) -> None:
        """A line through points (x, y) that ends in a head; its last piece goes right, left, up or down."""
        (x0, y0), (x, y) = points[-2:]
        length = ((x - x0) ** 2 + (y - y0) ** 2) ** 0.5
        dx, dy = (x - x0) / length, (y - y0) / length
        self.line(*points[:-1], (x - 5 * dx, y - 5 * dy), stroke=stroke, **more)
        corners = [(x, y)] + [(x - 8 * dx + k * dy, y - 8 * dy - k * dx) for k in (4, -4)]
        self.draw("polygon", points=" ".join(f"{a:.1f},{b:.1f}" for a, b in corners), fill=stroke)

    def slab(
        self, x: float, y: float, side: float, deep: float = 0, height: float = 0, fill: str = ""
    ) -> None:
        """A feature map: its face in the middle at (x, y), its channels going back to the upper right."""
        _, front, stroke = ROLES["data"]
        h = height or side
        left, right, top, bottom, dx, dy = (
            x - side / 2,
            x + side / 2,
            y - h / 2,
            y + h / 2,
            deep * 0.9,
            -deep * 0.45,
        )
        for corners, colour in (
            ([(left, top), (left + dx, top + dy), (right + dx, top + dy), (right, top)], "#E9EBEC"),
            (
                [(right, top), (right + dx, top + dy), (right + dx, bottom + dy), (right, bottom)],
                "#AFB4B8",
            ),
            ([(left, top), (right, top), (right, bottom), (left, bottom)], fill or front),
        ):
            points = " ".join(f"{a:.1f},{b:.1f}" for a, b in corners)
            self.draw(
                "polygon",
                points=points,
                fill=colour,
                stroke=stroke,
                stroke_width=0.8,
                stroke_linejoin="round",
            )

    def key(self, x: float, y: float, roles: Sequence[str], gap: int = 18) -> None:
        """A row of the legend."""
        for role in roles:
            if role == "data":
                self.slab(x + 8, y, 14)
            elif role == "add":
                self.circle(role, x + 8, y)
            else:
                self.box(role, x + 8, y, 16, 14)
            self.text(x + 22, y, ROLES[role][0], 11, anchor="start")
            x += 22 + 5.6 * len(ROLES[role][0]) + gap


# ---------------------------------------------------------------------------------------------------------------------
# Strips: a whole network as a row of maps to scale. A row of a table: the block, then what stands above it (layer,
# kernel, factor, repeats, stride), then the channels and the side of the map that comes out.

BLOCKS = {  # the operations of a block from top to bottom, for each of its branches; does it have a shortcut?
    "conv": ([["conv"]], ""),
    "pointwise": ([["pointwise"]], ""),
    "mean": ([["pool"]], ""),
    "linear": ([["linear"]], ""),
    "SE-basic": ([["conv", "conv", "gate"]], "all"),
    "separable": ([["depthwise", "pointwise"]], ""),
    "inverted": ([["pointwise", "depthwise", "pointwise"]], "same"),
    "MBConv1": ([["depthwise", "gate", "pointwise"]], ""),
    "MBConv": ([["pointwise", "depthwise", "gate", "pointwise"]], "same"),
    "unit": ([["depthwise", "pointwise"], ["pointwise", "depthwise", "pointwise"]], "shuffle"),
}
END = [("mean", "mean", "", "", "", "", 0, 1), ("linear", "linear", "", "", "", "", 10, 0)]


def efficientnet(stem: int, strides: Sequence[int], sides: Sequence[int]) -> list[tuple]:
    """B0 as rows: Table 1 of its paper, with other strides."""
    kernels, factors, channels, repeats = (
        "3355353",
        "1666666",
        (16, 24, 40, 80, 112, 192, 320),
        "1223341",
    )
    rows = [("conv", "stem", "3 × 3", "", 1, stem, 32, sides[0])]
    for i in range(7):
        kernel, block = f"{kernels[i]} × {kernels[i]}", "MBConv" if i else "MBConv1"
        rows.append(
            (
                block,
                f"stage {i + 2}",
                kernel,
                factors[i],
                int(repeats[i]),
                strides[i],
                channels[i],
                sides[i + 1],
            )
        )
    return [*rows, ("pointwise", "head", "1 × 1", "", 1, 1, 1280, sides[-1]), *END]


STRIPS = {  # title, pixels of the drawing for a pixel of a map and for a channel, side and channels of the picture, rows
    "08_senet_strip": ("SENet-18", 3.4, 0.06, 32, 3, [
        ("conv", "stem", "3 × 3", "", 1, 1, 64, 32),
        ("SE-basic", "stage 1", "3 × 3", "", 2, 1, 64, 32),
        ("SE-basic", "stage 2", "3 × 3", "", 2, 2, 128, 16),
        ("SE-basic", "stage 3", "3 × 3", "", 2, 2, 256, 8),
        ("SE-basic", "stage 4", "3 × 3", "", 2, 2, 512, 4),
        *END,
    ]),
    "10_mobilenet_v2_strip": ("MobileNet v2", 1.9, 0.03, 32, 3, [
        ("conv", "stem", "3 × 3", "", 1, 1, 32, 32),
        ("separable", "stage 1", "3 × 3", "1", 1, 1, 16, 32),
        ("inverted", "stage 2", "3 × 3", "6", 2, 1, 24, 32),
        ("inverted", "stage 3", "3 × 3", "6", 3, 2, 32, 16),
        ("inverted", "stage 4", "3 × 3", "6", 4, 2, 64, 8),
        ("inverted", "stage 5", "3 × 3", "6", 3, 1, 96, 8),
        ("inverted", "stage 6", "3 × 3", "6", 3, 2, 160, 4),
        ("inverted", "stage 7", "3 × 3", "6", 1, 1, 320, 4),
        ("pointwise", "head", "1 × 1", "", 1, 1, 1280, 4),
        *END,
    ]),
    "13_shufflenet_v2_strip": ("ShuffleNet v2 x1.0", 2.1, 0.03, 32, 3, [
        ("conv", "conv1", "3 × 3", "", 1, 1, 24, 32),
        ("unit", "stage 2", "3 × 3", "", 4, 2, 116, 16),
        ("unit", "stage 3", "3 × 3", "", 8, 2, 232, 8),
        ("unit", "stage 4", "3 × 3", "", 4, 2, 464, 4),
        ("pointwise", "conv5", "1 × 1", "", 1, 1, 1024, 4),
        *END,
    ]),
    "14_efficientnet_strip": ("EfficientNet-B0", 1.9, 0.03, 32, 3,
        efficientnet(1, (1, 1, 2, 2, 1, 2, 1), (32, 32, 32, 16, 8, 8, 4, 4))),
    "15_efficientnet_mnist_strip": ("EfficientNet-B0 for digits", 1.5, 0.03, 28, 1,
        [("", "enlarge", "", "", "", "", 1, 48), *efficientnet(2, (1, 2, 2, 2, 1, 2, 1), (24, 24, 12, 6, 3, 3, 2, 2))]),
}  # fmt: skip


def bars(p: Picture, x: float, y: float, block: str, repeats: int) -> list[str]:
    """Blocks side by side, a bar each, the left edge of the first at x. Gives the roles that they use."""
    branches, extra = BLOCKS[block]
    roles = [role for branch in branches for role in branch]
    for i in range(repeats):
        here = branches if len(branches) == 1 or i == 0 else [[], branches[1]]
        for column, branch in enumerate(here):
            middle = x + i * BAR * len(here) + 5 + column * 9
            if not branch:
                p.line((middle, y - 21), (middle, y + 21))
            for j, role in enumerate(branch):
                _, fill, stroke = ROLES[role]
                high = 42 / len(branch)
                p.rect(middle, y - 21 + (j + 0.5) * high, 9, high, fill, stroke, stroke_width=1.2)
        if extra == "shuffle":
            p.rect(x + i * 2 * BAR + 9.5, y + 27, 18, 10, *ROLES["shuffle"][1:], stroke_width=1.2)
        elif extra == "all" or (extra and i > 0):
            left = x + i * BAR - 1
            d = f"M{left} {y - 22}C{left + 1} {y - 36} {left + 11} {y - 36} {left + 12} {y - 22}"
            p.draw("path", d=d, fill="none", stroke=ROLES["add"][2], stroke_width=1.8)
    return roles + {"shuffle": ["shuffle"], "": []}.get(extra, ["add"])


BAR = 12  # from one bar to the next


def bars_width(block: str, repeats: int) -> float:
    return repeats * BAR * len(BLOCKS[block][0]) if block else 4


def strip(name: str) -> Picture:
    title, scale, thin, side, channels, rows = STRIPS[name]
    title = (
        f"{title} on {side} × {side} pixels: its feature maps to scale, and the blocks between them"
    )
    heads = [(1, "layer"), (2, "kernel"), (3, "factor"), (4, "blocks"), (5, "stride")]
    heads = [(i, word) for i, word in heads if any(row[i] for row in rows)]
    tallest = max(52, scale * max(side, *(row[7] for row in rows)))
    top = 18 + 17 * len(heads)
    p = Picture(title, 980, int(top + tallest + 134))
    middle = top + 26 + tallest / 2
    below = middle + max(tallest / 2, 34) + 16
    for row_y, word in [
        *((18 + 17 * k, word) for k, (_, word) in enumerate(heads)),
        (below, "map"),
        (below + 17, "channels"),
    ]:
        p.note(12, row_y, word)

    deep = [thin * (rows[i][6] or rows[i - 1][6]) * 0.9 for i in range(len(rows))]
    wide = [max(scale * row[7], 3 if row[7] else 9) for row in rows]
    used = (
        scale * side + sum(deep) + sum(wide) + sum(bars_width(row[0], row[4] or 1) for row in rows)
    )
    gap = (980 - 92 - 30 - used) / (2 * len(rows))
    x = 92 + scale * side  # the right edge of what is drawn
    picture(p, 92 + scale * side / 2, middle, scale * side, channels)
    p.small(92 + scale * side / 2, below, f"{side} × {side}")
    p.small(92 + scale * side / 2, below + 17, channels)

    roles: list[str] = []
    for i, row in enumerate(rows):
        block, *_, out, map_side = row
        out = out or rows[i - 1][6]
        start, repeats = x, row[4] or 1
        x += gap
        p.arrow((start + 3, middle), (x + bars_width(block, repeats) + gap - 3, middle))
        if block:
            roles += bars(p, x, middle, block, repeats)
        at = x + bars_width(block, repeats) / 2
        for k, (column, word) in enumerate(heads):
            value, y = row[column], 18 + 17 * k
            if word == "stride" and value == 2:
                p.draw("circle", cx=f"{at:.1f}", cy=y, r=8.5, fill=STRONG)
                p.text(at, y, "2", 11, bold=True, fill="#ffffff")
            else:
                p.text(
                    at,
                    y,
                    f"× {value}" if word == "blocks" and value else value,
                    11,
                    bold=word == "layer",
                )
        x += bars_width(block, repeats) + gap
        if not map_side:  # the end: one score a class
            for k in range(10):
                p.rect(x + 4.5, middle + (k - 4.5) * 8, 7, 7, *ROLES["data"][1:], stroke_width=0.8)
            p.small(x + 4.5, below + 17, "10")
            p.small(x + 4.5, below, "classes")
        elif not block:
            picture(p, x + wide[i] / 2, middle, wide[i], 1)
        else:
            p.slab(x + wide[i] / 2, middle + deep[i] / 4, wide[i], deep[i] / 0.9)
        if map_side:
            at = x + (wide[i] + deep[i] * (map_side < 3)) / 2
            p.small(at, below, f"{map_side} × {map_side}")
            p.small(at, below + 17, f"{out:,}")
        x += wide[i] + deep[i]
    p.key(12, below + 46, [role for role in ROLES if role in roles], gap=14)
    words = "A bar is a block: read its operations from top to bottom."
    words += " An arc is its shortcut." if "add" in roles else ""
    words += (
        " Beside a bar: the half that passes, or the second branch." if "shuffle" in roles else ""
    )
    p.note(12, below + 72, words)
    return p


def picture(p: Picture, x: float, y: float, side: float, channels: int) -> None:
    """The picture that goes in: a ship, or with one channel a digit."""
    dark = channels == 1
    p.rect(x, y, side, side, INK if dark else "#E3E6E8", ROLES["data"][2])
    u = side / 10
    if dark:
        p.draw(
            "path",
            d=f"M{x - 2 * u} {y - 2.5 * u}H{x + 2 * u}L{x - u / 2} {y + 3 * u}",
            fill="none",
            stroke="#ffffff",
            stroke_width=u,
        )
    else:
        p.rect(x, y + 3.5 * u, side, 3 * u, "#A3A9AD", "none")
        p.draw(
            "path",
            d=f"M{x - 3.6 * u} {y + u}h{7.2 * u}l{-1.4 * u} {2 * u}h{-4.4 * u}z",
            fill="#4F565B",
        )
        p.draw(
            "path",
            d=f"M{x - 2 * u} {y + u}v{-2 * u}h{3 * u}v{2 * u}z M{x} {y - u}v{-2 * u}h{1.2 * u}v{2 * u}z",
            fill="#777E83",
        )


FIGURES: dict[str, Callable[[], Picture]] = {}


def figure(make: Callable[[], Picture]) -> Callable[[], Picture]:
    """Above a function fig_NAME: it draws NAME.svg."""
    FIGURES[make.__name__.removeprefix("fig_")] = make
    return make


@figure
def fig_00_legend() -> Picture:
    p = Picture("The colours of the course's pictures", 760, 150)
    rows = [
        ("conv", "pointwise", "depthwise"),
        ("gate", "pool", "linear"),
        ("shuffle", "join", "add"),
        ("data",),
    ]
    for k, roles in enumerate(rows):
        for j, role in enumerate(roles):
            p.key(24 + j * 250, 26 + 32 * k, [role])
    p.note(274, 122, "Batch norm and activation are written beside their convolution.")
    return p


# ---------------------------------------------------------------------------------------------------------------------
# The family tree. A network: its notebook, its name, its year, its row. A link: from, to, the words on it, its corners.

YEARS = {
    year: 50 + 86 * k + (24 if k else 0) for k, year in enumerate((1998, 2012, *range(2014, 2023)))
}
NETWORKS = [
    ("01", "LeNet", 1998, 2), ("02", "AlexNet", 2012, 2), ("03", "VGG", 2014, 0), ("04", "GoogLeNet", 2014, 4),
    ("05", "ResNet", 2015, 2), ("06", "ResNeXt", 2016, 4), ("07", "DenseNet", 2016, 1), ("08", "SENet", 2017, 3),
    ("09", "MobileNet\nv1", 2017, 7), ("10", "MobileNet\nv2", 2018, 6), ("11", "MobileNet\nv3", 2019, 5),
    ("12", "ShuffleNet\nv1", 2017, 5), ("13", "ShuffleNet\nv2", 2018, 4), ("14", "EfficientNet", 2019, 7),
    ("16", "EfficientNet\nv2", 2021, 7), ("17", "RepVGG", 2021, 0), ("18", "ViT", 2020, 1), ("19", "ConvNeXt", 2022, 2),
]  # fmt: skip
LINKS = [  # what the newer network adds: first up or down, then to the right
    ("01", "02", "ReLU,\nGPUs", 0), ("02", "03", "3 × 3,\ndepth", 0), ("02", "04", "branches", 0), ("03", "05", "shortcut", 0),
    ("03", "17", "branches in training, merged afterwards", 0), ("05", "07", "joins\nall maps", 0), ("05", "08", "gates", 0),
    ("05", "06", "groups", -8), ("04", "09", "depthwise convolution", 0), ("06", "12", "shuffle", 0), ("12", "13", "split", 0),
    ("09", "10", "inverted\nresidual", 8), ("10", "11", "search", 0), ("10", "14", "scaling", 0), ("14", "16", "fused blocks", 0),
    ("05", "19", "large kernels, and step by step the design of a transformer", 0),
]  # fmt: skip


@figure
def fig_00_family_tree() -> Picture:
    p = Picture("The networks of this course from 1998 to 2022, and who took whose idea", 980, 590)
    at = {number: (YEARS[year], 74 + 60 * row) for number, _, year, row in NETWORKS}
    for year, x in YEARS.items():
        if year % 2 == 0:
            p.rect(x, 274, 86, 504, "#F6F7F8", "none")
        p.text(x, 22, year, 12, bold=True, fill=FAINT)
    halves = 37, 20  # of a network's width and height

    def borrow(points: list, words: str, x: float, y: float, anchor: str = "start") -> None:
        p.arrow(*points, dashed=True, stroke=ROLES["add"][2], halo=True)
        p.text(x, y, words, 11, anchor=anchor, fill="#9A4300")

    for start, end, words, shift in LINKS:
        (x0, y0), (x, y) = at[start], at[end]
        if y0 == y:
            p.arrow((x0 + halves[0], y), (x - halves[0], y))
            p.small((x0 + x) / 2, y - 10 if "\n" not in words else y, words)
        else:
            up = -1 if y < y0 else 1
            p.arrow((x0, y0 + up * halves[1]), (x0, y + shift), (x - halves[0], y + shift))
            middle = (
                (y0 + y) / 2
                if abs(y - y0) == 120 and not shift
                else y + shift - (0 if "\n" in words else 10)
            )
            p.small(x0 + 5, middle, words, "start")
    x, y = at["06"]
    borrow([(at["04"][0] + 37, y + 9), (x - 37, y + 9)], "branches", at["05"][0] - 10, y + 20)
    x, y = at["10"]
    x0, y0 = at["05"][0] - 18, at["05"][1] + 20
    borrow([(x0, y0), (x0, y - 10), (x - 37, y - 10)], "shortcut", x0 + 6, y - 21)
    x, y = at["11"]
    borrow(
        [(at["08"][0] + 37, at["08"][1]), (x, at["08"][1]), (x, y - 20)],
        "gates",
        at["13"][0] - 30,
        at["08"][1] - 10,
    )
    x0, x = x, x + 48
    borrow(
        [(x0, at["08"][1]), (x, at["08"][1]), (x, y + 60), (x0, y + 60), (x0, at["14"][1] - 20)],
        "gates",
        x + 5,
        y + 30,
    )
    x, y = at["18"]
    p.arrow((x - 84, y), (x - 37, y))
    p.text(x - 90, y, "attention,\nfrom language models", 11, anchor="end")
    borrow(
        [(x + 37, y), (at["19"][0], y), (at["19"][0], at["19"][1] - 20)], "patches", x + 46, y - 10
    )

    for number, name, _, _ in NETWORKS:
        x, y = at[number]
        here = any(HERE.parent.glob(f"{number}_*.ipynb"))
        p.rect(
            x,
            y,
            74,
            40,
            STRONG if here else PALE,
            STRONG if here else "#A9B7C0",
            6,
            stroke_width=1.5,
        )
        shade = "#ffffff" if here else INK
        p.text(
            x,
            y,
            f"{name}\n{number}" if "\n" not in name else f"{name} · {number}",
            11,
            fill=shade,
            bold=here,
        )
    for k, (fill, stroke, words) in enumerate(
        (
            (STRONG, STRONG, "in the course, with the number of its notebook"),
            (PALE, "#A9B7C0", "still to come"),
        )
    ):
        p.rect(26 + 290 * k, 548, 24, 16, fill, stroke, 4)
        p.small(44 + 290 * k, 548, words, "start")
    p.arrow((430, 548), (460, 548))
    p.small(466, 548, "builds on it, and adds the idea on the arrow", "start")
    p.arrow((714, 548), (744, 548), dashed=True, stroke=ROLES["add"][2])
    p.small(750, 548, "takes this idea over, too", "start")
    p.note(14, 574, "Years are those of the first public version.")
    return p


# ---------------------------------------------------------------------------------------------------------------------
# Blocks and mechanisms, one function a drawing.


@figure
def fig_08_senet_block() -> Picture:
    p = Picture("A residual block with squeeze and excitation", 980, 354)
    p.rect(632, 178, 470, 272, "#FEF6E3", ROLES["gate"][2], 10, stroke_dasharray="5 4")
    p.text(414, 298, "squeeze and excitation", 12, bold=True, anchor="start")
    y, low = 96, 224
    shades = "#C3C7CA", "#989EA3", "#DDE0E2", "#7A8187"

    def maps(x: float, y: float, fills: Sequence[str]) -> None:
        for k, fill in enumerate(fills):
            p.rect(x + 6 * (1 - k), y - 6 * (1 - k), 38, 38, fill, ROLES["data"][2])

    maps(40, y, shades[::-1][:3])
    p.small(40, 142, "x\n[N, C, H, W]")
    p.arrow((72, y), (100, y))
    p.box("conv", 150, y, 96, 56, "3 × 3", "batch norm\nReLU")
    p.arrow((200, y), (218, y))
    p.box("conv", 266, y, 92, 56, "3 × 3", "batch norm")
    p.arrow((314, y), (338, y))
    maps(366, y, shades)
    p.small(352, 142, "u\n[N, C, H, W]")
    p.arrow((398, y), (802, y))
    p.arrow((440, y), (440, low - 26))
    p.box("pool", 440, low, 68, 50, "mean of\neach map")
    p.text(450, 146, "1 squeeze", 12, bold=True, anchor="start")
    vector(p, 512, low, shades)
    p.small(512, 258, "z\n[N, C]")
    p.arrow((476, low), (488, low))
    p.arrow((536, low), (550, low))
    p.text(628, 180, "2 excitation", 12, bold=True)
    p.box("linear", 586, low, 70, 50, "linear", "ReLU")
    p.arrow((622, low), (668, low))
    p.small(645, 258, "[N, C/r]")
    p.box("linear", 706, low, 74, 50, "linear", "sigmoid")
    p.arrow((744, low), (784, low))
    for k, share in enumerate((0.9, 0.15, 0.6, 0.3)):
        p.rect(792 + 12 * k, low, 10, 30, "#ffffff", ROLES["data"][2])
        p.rect(792 + 12 * k, low + 15 - 15 * share, 10, 30 * share, ROLES["gate"][2], "none")
    p.small(810, 264, "s: gates\nfrom 0 to 1\n[N, C]")
    p.arrow((813, low - 18), (813, y + 11))
    p.circle("gate", 813, y, "×")
    p.text(806, 66, "3 re-weighting:\neach map times its gate", 11, anchor="end")
    p.arrow((824, y), (882, y))
    p.circle("add", 893, y)
    p.arrow((60, y - 26), (60, 24), (893, 24), (893, y - 11), stroke=ROLES["add"][2])
    p.small(200, 38, "shortcut")
    p.small(918, 120, "ReLU")
    p.arrow((904, y), (934, y))
    maps(950, y, shades[::-1][:1])
    p.small(938, 142, "[N, C, H, W]")
    p.note(
        14,
        336,
        "N images, C channels, maps of H × W pixels; r is the reduction ratio, 16 in the paper.",
    )
    return p


def vector(p: Picture, x: float, y: float, fills: Sequence[str]) -> None:
    """A number a channel."""
    for k, fill in enumerate(fills):
        p.rect(x + 12 * (k - (len(fills) - 1) / 2), y, 10, 14, fill, ROLES["data"][2])


@figure
def fig_08_senet_where() -> Picture:
    p = Picture("Where squeeze and excitation stands in four blocks", 980, 440)
    shape, half = "[N, C, H, W]", "[N, D, H/2, W/2]"

    def head(x: float, words: str, below: str, into: str) -> None:
        p.text(x, 22, words, 12, bold=True)
        p.text(x, 38, below, 11, fill=FAINT)
        p.small(x, 58, into)

    def down(x: float, *ys: float) -> None:
        for y0, y in zip(ys[::2], ys[1::2], strict=True):
            p.arrow((x, y0), (x, y))

    def shortcut(x: float, side: float, y0: float, y: float) -> None:
        p.arrow((x, y0), (side, y0), (side, y), (x + 10, y), stroke=ROLES["add"][2])

    x = 110
    head(x, "basic block", "ResNet, stride 1", shape)
    down(x, 66, 98, 138, 156, 196, 214, 238, 258, 278, 322)
    p.box("conv", x, 118, 120, 38, "3 × 3", "batch norm, ReLU")
    p.box("conv", x, 176, 120, 38, "3 × 3", "batch norm")
    p.box("gate", x, 226, 120, 24, "SE")
    shortcut(x, 196, 80, 268)
    p.circle("add", x, 268)
    p.small(x + 8, 290, "ReLU", "start")
    p.small(x, 332, shape)

    x = 340
    head(x, "pre-activation block", "stride 1", shape)
    p.line((x, 66), (x, 92))
    p.small(x, 102, "batch norm, ReLU")
    down(x, 110, 128, 174, 192, 220, 240, 264, 282, 302, 322)
    p.box("conv", x, 140, 120, 24, "3 × 3")
    p.line((x, 152), (x, 158))
    p.small(x, 166, "batch norm, ReLU")
    p.box("conv", x, 206, 120, 28, "3 × 3")
    p.box("gate", x, 252, 120, 24, "SE")
    shortcut(x, 426, 80, 292)
    p.circle("add", x, 292)
    p.small(x, 332, shape)

    x = 560
    head(x, "pre-activation block", "stride 2", shape)
    p.line((x, 66), (x, 92))
    p.small(x, 102, "batch norm, ReLU")
    down(x, 110, 148, 194, 212, 240, 260, 284, 302, 322, 342)
    p.box("conv", x, 160, 110, 24, "3 × 3, stride 2")
    p.line((x, 172), (x, 178))
    p.small(x, 186, "batch norm, ReLU")
    p.box("conv", x, 226, 110, 28, "3 × 3")
    p.box("gate", x, 272, 110, 24, "SE")
    shortcut(x, 664, 122, 312)
    p.box("pointwise", 664, 226, 76, 38, "1 × 1", "stride 2")
    p.circle("add", x, 312)
    p.small(x, 352, half)

    x = 860
    head(x, "Inception-style block", "no shortcut", shape)
    p.line((x, 66), (x, 80))
    for k, boxes in enumerate(([("pointwise", "1 × 1")], [("pointwise", "1 × 1"), ("conv", "3 × 3")],
                               [("pointwise", "1 × 1"), ("conv", "5 × 5")], [("pool", "pool"), ("pointwise", "1 × 1")])):  # fmt: skip
        at = x + 54 * (k - 1.5)
        p.arrow((x, 80), (at, 80), (at, 140 if len(boxes) == 1 else 98))
        for (role, words), y in zip(boxes[::-1], (152, 110), strict=False):
            p.box(role, at, y, 48, 24, words)
        if len(boxes) == 2:
            p.arrow((at, 122), (at, 140))
        p.arrow((at, 164), (at, 192))
    p.box("join", x, 206, 212, 26, "concatenate the channels")
    down(x, 219, 238, 262, 322)
    p.box("gate", x, 250, 120, 24, "SE")
    p.small(x, 332, "[N, D, H, W]")
    p.key(14, 390, ("conv", "pointwise", "gate", "pool", "join", "add"), gap=14)
    p.text(14, 420, "With stride 2 the pre-activation block takes its shortcut behind the first batch norm and ReLU."
           " In the Inception-style block each convolution has batch norm and ReLU.", 11, anchor="start", fill=FAINT)  # fmt: skip
    return p


@figure
def fig_10_mobilenet_v2_block() -> Picture:
    p = Picture("The bottleneck of a ResNet beside the inverted residual of MobileNet v2", 980, 440)
    for x, title, channels, steps, ends in (
        (188, "ResNet: wide, narrow, wide", (256, 64, 64, 256),
         (("pointwise", "1 × 1: squeeze", "batch norm, ReLU"), ("conv", "3 × 3: mix all channels", "batch norm, ReLU"),
          ("pointwise", "1 × 1: widen", "batch norm")), "add, then ReLU"),
        (718, "MobileNet v2: narrow, wide, narrow", (24, 144, 144, 24),
         (("pointwise", "1 × 1: expand", "batch norm, ReLU6"), ("depthwise", "3 × 3 depthwise:\neach channel alone", "batch norm, ReLU6"),
          ("pointwise", "1 × 1: project", "batch norm, no ReLU:\nthe end is linear")), "add, no ReLU"),
    ):  # fmt: skip
        p.text(x + 20, 22, title, 13, bold=True)
        left = x - 148 if max(channels) > 200 else x - 110
        p.arrow(
            (x - channels[0] / 2, 56),
            (left, 56),
            (left, 382),
            (x - 10, 382),
            stroke=ROLES["add"][2],
        )
        for k, width in enumerate(channels):
            y = 56 + 94 * k
            p.rect(x, y, width, 16, *ROLES["data"][1:])
            if width > 30:
                p.text(x, y, width, 11, bold=True)
            else:
                p.text(x + 18, y, width, 11, bold=True, anchor="start")
            if k == 3:
                break
            role, words, small = steps[k]
            after = channels[k + 1]
            corners = [
                (x - width / 2, y + 22),
                (x + width / 2, y + 22),
                (x + after / 2, y + 72),
                (x - after / 2, y + 72),
            ]
            points = " ".join(f"{a:g},{b:g}" for a, b in corners)
            p.draw(
                "polygon",
                points=points,
                fill=ROLES[role][1],
                stroke=ROLES[role][2],
                stroke_width=1.5,
                stroke_linejoin="round",
            )
            p.line((x, y + 8), (x, y + 22))
            p.arrow((x, y + 72), (x, y + 86))
            at = x + max(channels) / 2 + 14
            lines = words.count("\n") + 1
            p.text(at, y + 47 - 7 * (small.count("\n") + 1), words, 12, bold=True, anchor="start")
            p.small(at, y + 47 + 8 * lines, small, "start")
        p.line((x, 346), (x, 372))
        p.circle("add", x, 382)
        p.small(x + 18, 382, ends, "start")
        p.arrow((x, 392), (x, 412))
    p.line((506, 14), (506, 412), stroke="#D9DCDE")
    p.text(14, 430, "Widths are channels, on one scale. Orange is the shortcut: at the left between wide ends, at the right between narrow ends.",
           11, anchor="start", fill=FAINT)  # fmt: skip
    return p


@figure
def fig_10_mobilenet_v2_depthwise() -> Picture:
    p = Picture(
        "The weights of a full 3 × 3 convolution, and of a depthwise and a pointwise one", 980, 350
    )

    def matrix(x: float, role: str, title: str, count: str, kernel: int, diagonal: bool) -> None:
        """A row for each output channel, a column for each input channel; a square is a weight."""
        pitch, cell = (50, 13) if kernel == 3 else (34, 16)
        y = 84 + 25 - pitch / 2 if kernel == 3 else 109
        p.text(x + pitch * 2, 24, title, 13, bold=True)
        for k in range(4):
            p.text(x + pitch * (k + 0.5), 66, k + 1, 11, fill=FAINT)
            p.text(x - 8, y + pitch * (k + 0.5), k + 1, 11, anchor="end", fill=FAINT)
            for j in range(4):
                cx, cy = x + pitch * (j + 0.5), y + pitch * (k + 0.5)
                if diagonal and j != k:
                    p.rect(
                        cx,
                        cy,
                        cell * kernel,
                        cell * kernel,
                        "none",
                        "#C9CDD0",
                        stroke_dasharray="3 3",
                    )
                    continue
                for i in range(kernel**2):
                    dx, dy = i % kernel - kernel // 2, i // kernel - kernel // 2
                    p.rect(cx + cell * dx, cy + cell * dy, cell, cell, *ROLES[role][1:])
        p.text(x + pitch * 2, 48, "input channel", 11, fill=FAINT)
        p.text(x + pitch * 2, 306, count, 12)

    matrix(60, "conv", "full: 3 × 3", "4 × 4 × 9 = 144 weights", 3, False)
    p.note(14, 48, "output\nchannel")
    p.text(322, 184, "or", 13, bold=True)
    matrix(390, "depthwise", "depthwise: 3 × 3", "4 × 9 = 36 weights", 3, True)
    p.text(640, 184, "then", 13, bold=True)
    matrix(706, "pointwise", "pointwise: 1 × 1", "4 × 4 = 16 weights", 1, False)
    p.text(908, 184, "together\n52 weights", 12, bold=True)
    p.text(14, 334, "A square is a weight. The depthwise kernels look at their surroundings, each in one channel; the pointwise ones"
           " mix the channels, each at one pixel.", 11, anchor="start", fill=FAINT)  # fmt: skip
    return p


@figure
def fig_13_shufflenet_v2_units() -> Picture:
    p = Picture("The units of ShuffleNet v1 and v2", 980, 480)

    def unit(
        x: float,
        name: str,
        below: str,
        left: Sequence[tuple],
        right: Sequence[tuple],
        end: Sequence[str],
        split=False,
    ):
        """Two branches of operations (role, words, words in small), and what joins them."""
        p.text(x, 22, name, 12, bold=True)
        p.text(x, 38, below, 11, fill=FAINT)
        start = 74
        if split:
            p.arrow((x, 48), (x, 60))
            p.box("join", x, start, 200, 26, "split")
            start = 87
        else:
            p.line((x, 48), (x, 64))
        for side, branch in ((x - 52, left), (x + 52, right)):
            y = 118
            before = [(side, start)] if split else [(x, 64), (side, 64)]
            colour = ROLES["add"][2] if "add" in end and side < x and not branch else FAINT
            for role, words, small in branch:
                high = {"shuffle": 24}.get(role, 38 + 13 * small.count("\n"))
                p.arrow(*before, (side, y - 19))
                p.box(role, side, y - 19 + high / 2, 98, high, words, small)
                before = [(side, y - 19 + high)]
                y += high + 20
            if "add" in end:
                p.arrow(*before, (side, 352), (x + (10 if side > x else -10), 352), stroke=colour)
            else:
                p.arrow(*before, (side, 339))
        if "add" in end:
            p.circle("add", x, 352)
        else:
            p.box("join", x, 352, 200, 26, "concatenate")
        if "shuffle" in end:
            p.arrow((x, 365), (x, 380))
            p.box("shuffle", x, 392, 200, 24, "shuffle")
            p.arrow((x, 404), (x, 422))
        else:
            p.small(x + 8, 380, "ReLU", "start")
            p.arrow((x, 365 if "join" in end else 362), (x, 422))

    one, last = (
        ("pointwise", "1 × 1, groups", "batch norm, ReLU"),
        ("pointwise", "1 × 1, groups", "batch norm"),
    )
    deep, halving = (
        ("depthwise", "3 × 3", "batch norm"),
        ("depthwise", "3 × 3", "stride 2\nbatch norm"),
    )
    plain, mix = ("pointwise", "1 × 1", "batch norm, ReLU"), ("shuffle", "shuffle", "")
    unit(122, "(a) version 1", "stride 1", [], [one, mix, deep, last], ["add"])
    unit(
        364,
        "(b) version 1",
        "stride 2",
        [("pool", "mean, 3 × 3", "stride 2")],
        [one, mix, halving, last],
        ["join"],
    )
    p.line((486, 14), (486, 424), stroke="#D9DCDE")
    unit(608, "(c) version 2", "stride 1", [], [plain, deep, plain], ["shuffle"], split=True)
    unit(850, "(d) version 2", "stride 2", [halving, plain], [plain, halving, plain], ["shuffle"])
    p.key(14, 454, ("pointwise", "depthwise", "pool", "shuffle", "join", "add"), gap=16)
    return p


@figure
def fig_13_shufflenet_v2_shuffle() -> Picture:
    p = Picture("Concatenate, shuffle, split: eight channels of two branches", 860, 270)
    fills = "#E4E6E8", "#9BA3A9"
    orders = range(8), range(8), (0, 4, 1, 5, 2, 6, 3, 7)
    gaps = 22, 0, 22

    def place(row: int, k: int) -> tuple[float, float]:
        return 300 + 58 * k + (gaps[row] if k > 3 else 0) + (22 - gaps[row]) / 2, 44 + 86 * row

    for row, order in enumerate(orders):
        for k, channel in enumerate(order):
            x, y = place(row, k)
            if row:
                x0, y0 = place(row - 1, channel)
                p.arrow(
                    (x0, y0 + 20), (x, y - 20), stroke=ROLES["shuffle"][2] if row == 2 else FAINT
                )
            p.rect(x, y, 40, 36, fills[channel > 3], ROLES["data"][2])
            p.text(x, y, channel, 13, bold=True)
    for y, role, words in (
        (87, "join", "concatenate"),
        (173, "shuffle", "shuffle"),
        (216, "join", "split"),
    ):
        p.box(role, 206, y, 110, 24, words)
    p.small(14, 44, "two branches,\nfour channels each", "start")
    p.small(14, 216, "two halves for\nthe next unit", "start")
    for k, words in ((1.5, "left half: two of each"), (5.5, "right half: two of each")):
        x, y = place(2, 0)
        p.text(x + 58 * k + (22 if k > 3 else 0), 250, words, 11, fill=FAINT)
    return p


@figure
def fig_13_shufflenet_v2_pieces() -> Picture:
    p = Picture("One convolution, or two or four smaller ones, in series and in parallel", 860, 290)
    for x, pieces, channels, parallel in (
        (80, 1, 56, False),
        (220, 2, 40, False),
        (360, 4, 28, False),
        (520, 2, 40, True),
        (722, 4, 28, True),
    ):
        name = f"{pieces} in {'parallel' if parallel else 'series'}" if pieces > 1 else "1 piece"
        p.text(x, 22, name, 12, bold=True)
        p.text(x, 39, f"{channels} channels", 11, fill=FAINT)
        wide = channels * 1.5
        if parallel:
            p.line((x, 50), (x, 70))
            for k in range(pieces):
                at = x + (wide + 18) * (k - (pieces - 1) / 2)
                p.arrow((x, 70), (at, 70), (at, 128))
                p.box("pointwise", at, 140, wide, 24, channels)
                p.line((at, 152), (at, 190), (x, 190))
            p.arrow((x, 190), (x, 204))
            p.circle("add", x, 214)
            p.arrow((x, 224), (x, 248))
        else:
            ys = [140 + 40 * (k - (pieces - 1) / 2) for k in range(pieces)]
            for before, y in zip(
                [50, *(y + 12 for y in ys)], [*(y - 12 for y in ys), 248], strict=True
            ):
                p.arrow((x, before), (x, y))
            for y in ys:
                p.box("pointwise", x, y, wide, 24, channels)
    p.key(14, 272, ("pointwise", "add"))
    p.note(300, 272, "A number is channels, in and out; the width of a box shows it, too.")
    return p


@figure
def fig_14_efficientnet_mbconv() -> Picture:
    p = Picture("MBConv, the block of EfficientNet", 980, 350)
    y, roles = 110, ROLES["add"]
    wide, narrow = 110, 34
    steps = [
        (40, narrow, "pointwise", 114, "1 × 1\nexpand", "batch norm, SiLU", "[N, C, H, W]"),
        (
            190,
            wide,
            "depthwise",
            264,
            "k × k\ndepthwise",
            "stride s\nbatch norm, SiLU",
            "[N, C × factor,\nH, W]",
        ),
        (342, wide, "gate", 416, "squeeze and\nexcitation", "", "[N, C × factor,\nH/s, W/s]"),
        (
            494,
            wide,
            "pointwise",
            568,
            "1 × 1\nproject",
            "batch norm\nno activation",
            "[N, C × factor,\nH/s, W/s]",
        ),
        (648, narrow, "", 746, "", "", "[N, C′, H/s, W/s]"),
    ]
    for x, high, role, at, words, small, shape in steps:
        p.rect(x, y, 12, high, *ROLES["data"][1:])
        p.small(x if x > 50 else 48, 194, shape)
        if role:
            p.arrow((x + 6, y), (at - 50, y))
            p.box(role, at, y, 100, 82 if small else 60, words, small)
            p.arrow((at + 50, y), (x + 145, y))
    p.arrow((654, y), (690, y))
    p.rect(746, y, 108, 60, "#ffffff", FAINT, 5, stroke_dasharray="2 3", stroke_width=1.5)
    p.small(746, y, "stochastic depth:\nin training it drops\nsome branches")
    p.arrow((800, y), (848, y))
    p.circle("add", 858, y)
    p.arrow((868, y), (914, y))
    p.rect(921, y, 12, narrow, *ROLES["data"][1:])
    p.small(916, 194, "[N, C′, H/s, W/s]")
    p.arrow((40, y - 17), (40, 24), (858, 24), (858, y - 10), stroke=roles[2])
    p.small(449, 38, "shortcut, only where the stride s is 1 and C′ = C")
    p.line((416, 140), (416, 236), stroke=ROLES["gate"][2], dashed=True)
    p.rect(490, 276, 760, 80, "#FEF6E3", ROLES["gate"][2], 10, stroke_dasharray="5 4")
    inside = [
        ("pool", 180, "mean of\neach map", ""),
        ("linear", 360, "1 × 1 (linear)", "SiLU"),
        ("linear", 560, "1 × 1 (linear)", "sigmoid"),
        ("gate", 770, "each map\ntimes its gate", ""),
    ]
    for (role, x, words, small), after in zip(
        inside, ("C × factor", "C/4", "C × factor", ""), strict=True
    ):
        p.box(role, x, 276, 112, 48, words, small)
        if after:
            nxt = inside[[b[1] for b in inside].index(x) + 1][1]
            p.arrow((x + 56, 276), (nxt - 56, 276))
            p.small((x + nxt) / 2, 264, after)
    p.text(14, 336, "The height of a grey slab shows its channels. The factor is 6, in stage 2 it is 1: there the expanding convolution is left out."
           " k is 3 or 5.", 11, anchor="start", fill=FAINT)  # fmt: skip
    return p


@figure
def fig_14_efficientnet_scaling() -> Picture:
    p = Picture(
        "Ways to make EfficientNet-B0 larger: wider, deeper, a larger picture, all three", 980, 300
    )
    base = ((76, 1), (58, 1), (46, 1), (32, 1))
    _, fill, stroke = ROLES["conv"]
    for k, (title, words, cost, w, d, r) in enumerate((
        ("B0", "the start", "cost 1", 1, 1, 1),
        ("wider", "channels × w", "cost × w²", 1.9, 1, 1),
        ("deeper", "layers × d", "cost × d", 1, 2, 1),
        ("larger picture", "side × r", "cost × r²", 1, 1, 1.8),
        ("all three", "a little of each", "cost × d · w² · r²", 1.25, 1.5, 1.25),
    )):  # fmt: skip
        x = 98 + 196 * k
        side = 40 * r
        p.rect(
            x,
            222 - side / 2,
            side,
            side,
            "#AFB4B8" if r > 1 else ROLES["data"][1],
            ROLES["data"][2],
            stroke_width=2.5 if r > 1 else 1,
        )
        for line in range(1, 6):
            at = side * (line / 6 - 0.5)
            p.line((x + at, 222 - side), (x + at, 222), stroke="#ffffff", width=0.7)
            p.line(
                (x - side / 2, 222 - side / 2 + at),
                (x + side / 2, 222 - side / 2 + at),
                stroke="#ffffff",
                width=0.7,
            )
        y = 222 - side - 16
        for width, _ in base[::-1]:
            for copy in range(2 if d == 2 or (d == 1.5 and width in (76, 46)) else 1):
                new = copy > 0
                p.rect(x, y, width * w, 13, stroke if new else fill, stroke, 3, stroke_width=1.2)
                if w > 1 and not new:
                    for sign in (-1, 1):
                        p.rect(
                            x + sign * (width * w + width) / 4,
                            y,
                            (width * w - width) / 2,
                            13,
                            stroke,
                            stroke,
                        )
                y -= 19
        p.text(x, 240, title, 13, bold=True)
        p.text(x, 258, words, 12)
        p.text(x, 276, cost, 12, fill=FAINT)
        if k:
            p.line((x - 98, 14), (x - 98, 286), stroke="#D9DCDE")
    return p


@figure
def fig_15_efficientnet_mnist_padding() -> Picture:
    p = Picture(
        "A kernel of 5 × 5 on maps of 1 × 1, 2 × 2 and 4 × 4: which of its weights meet the map",
        980,
        420,
    )
    _, light, dark = ROLES["depthwise"]
    for x, n in ((150, 1), (480, 2), (800, 4)):
        cell, size = 17, n + 4
        p.text(x, 20, f"map of {n} × {n}", 13, bold=True)
        for i in range(size**2):
            a, b = i % size, i // size
            inner = 2 <= a < n + 2 and 2 <= b < n + 2
            cx, cy = x + cell * (a - (size - 1) / 2), 108 + cell * (b - (size - 1) / 2)
            p.rect(
                cx,
                cy,
                cell,
                cell,
                ROLES["data"][1] if inner else "#ffffff",
                ROLES["data"][2] if inner else "#C9CDD0",
                stroke_width=0.8,
            )
            if not inner:
                p.text(cx, cy, "0", 11, fill=FAINT)
        at = x + cell * (2.5 - size / 2), 108 + cell * (2.5 - size / 2)
        p.rect(*at, cell * 5, cell * 5, "none", dark, stroke_width=3)
        meets = [
            sum(0 <= pixel + d < n for pixel in range(n)) for d in range(-2, 3)
        ]  # positions, along one side
        for i in range(25):
            times = meets[i % 5] * meets[i // 5]
            cx, cy = x + 26 * (i % 5 - 2), 282 + 26 * (i // 5 - 2)
            p.rect(cx, cy, 26, 26, light if times else "#ffffff", dark if times else "#C9CDD0")
            p.text(cx, cy, times, 11, fill=INK if times else FAINT)
        live = sum(a * b > 0 for a in meets for b in meets)
        p.text(
            x,
            366,
            f"{live} of 25 weights meet the map"
            if live > 1
            else "24 of 25 weights meet only zeros",
            12,
            bold=True,
        )
    p.text(14, 400, "Above: a map with its padding of zeros, and the kernel on the first pixel. Below: the weights of the kernel, and for how many"
           " of the map's pixels each meets the map.", 11, anchor="start", fill=FAINT)  # fmt: skip
    return p


def main(begin: tuple[str, ...]) -> None:
    for file in sorted(HERE.glob("draw_*.py")):
        importlib.import_module(file.stem)  # adds to BLOCKS, STRIPS and FIGURES
    strips = {name: lambda name=name: strip(name) for name in STRIPS}
    for name, make in sorted((strips | FIGURES).items()):
        if name.startswith(begin):
            make().save(name)
            print(f"{name}.svg")


if __name__ == "__main__":
    import draw  # once under its own name, as the other files import it

    draw.main(tuple(sys.argv[1:]) or ("",))

"""The drawings of 00_start_here: family tree, legend of colours, a convolution, a small network."""

from collections.abc import Sequence
from typing import NamedTuple

from drawing import (
    ADD,
    CONV,
    CONV_POOL,
    END,
    FAINT,
    FIGURES,
    INK,
    PALE,
    ROLES,
    STRONG,
    Picture,
    Row,
    main,
    strip,
)


class Network(NamedTuple):
    notebook: str
    name: str
    year: int
    row: int


class Link(NamedTuple):
    """From an older network to a newer one, and what the newer one adds."""

    start: str
    end: str
    words: str
    place: str = "above"  # of the words: above the arrow, or left or right of the line up or down
    shift: float = 0  # of the words, downwards


NETWORKS = [
    Network("01", "LeNet", 1998, 2),
    Network("02", "AlexNet", 2012, 2),
    Network("03", "VGG", 2014, 0),
    Network("04", "GoogLeNet", 2014, 4),
    Network("05", "ResNet", 2015, 2),
    Network("06", "ResNeXt", 2016, 4),
    Network("07", "DenseNet", 2016, 1),
    Network("08", "SENet", 2017, 3),
    Network("09", "MobileNet\nv1", 2017, 7),
    Network("10", "MobileNet\nv2", 2018, 6),
    Network("11", "MobileNet\nv3", 2019, 5),
    Network("12", "ShuffleNet\nv1", 2017, 5),
    Network("13", "ShuffleNet\nv2", 2018, 4),
    Network("14", "EfficientNet", 2019, 7),
    Network("16", "EfficientNet\nv2", 2021, 7),
    Network("17", "RepVGG", 2021, 0),
    Network("18", "ViT", 2020, 1),
    Network("19", "ConvNeXt", 2022, 2),
]
LINKS = [
    Link("01", "02", "ReLU, GPUs", shift=-20),
    Link("02", "03", "3 × 3,\ndepth", "right"),
    Link("02", "04", "branches", "right"),
    Link("03", "05", "shortcut", "right", shift=-12),
    Link("03", "17", "branches in training, merged afterwards"),
    Link("05", "07", "joins\nall maps", "left", shift=4),
    Link("05", "08", "gates"),
    Link("05", "06", "groups"),
    Link("04", "09", "depthwise convolution"),
    Link("06", "12", "shuffle"),
    Link("12", "13", "split"),
    Link("09", "10", "inverted\nresidual", "left", shift=-1),
    Link("10", "11", "search"),
    Link("10", "14", "scaling"),
    Link("14", "16", "fused blocks"),
    Link("05", "19", "large kernels, and step by step the design of a transformer"),
]
PITCH = 88  # pixels from one year to the next
COLUMNS = (1998, 2012, *range(2014, 2023))
HALF_WIDTH, HALF_HEIGHT = 39, 20  # of a network's box
BORROWED = "#9A4300"


def column(year: int) -> float:
    """The middle of a year."""
    later = COLUMNS.index(year)
    return 45 + PITCH * later + (10 if later else 0)


PLACES = {network.notebook: (column(network.year), 74 + 60 * network.row) for network in NETWORKS}
ENDS = {("05", "06"): -9, ("09", "10"): 9}  # where an arrow shares its box's side with another one


def draw_family_tree() -> Picture:
    title = "The networks of this course from 1998 to 2022, and who took whose idea"
    p = Picture(title, 596, keep_svg=True)
    for year in COLUMNS:
        if year % 2 == 0:
            p.rect(column(year), 277, PITCH, 510, "#F6F7F8")
        p.text(column(year), 22, year, bold=True, fill=FAINT)
    for link in LINKS:
        draw_link(p, link)
    draw_borrowed(p)
    for network in NETWORKS:
        draw_network(p, network)
    draw_key(p)
    return p


def draw_link(p: Picture, link: Link) -> None:
    """First up or down, then to the right."""
    x0, y0 = PLACES[link.start]
    x, y = PLACES[link.end]
    if y0 == y:
        p.arrow((x0 + HALF_WIDTH, y), (x - HALF_WIDTH, y))
        p.text((x0 + x) / 2, y - 10 + link.shift, link.words, 11.5)
        return
    edge = y0 + (HALF_HEIGHT if y > y0 else -HALF_HEIGHT)
    y += ENDS.get((link.start, link.end), 0)
    p.arrow((x0, edge), (x0, y), (x - HALF_WIDTH, y))
    if link.place == "above":
        p.text(x0 + 4, y - 9 + link.shift, link.words, 11.5, anchor="start")
    elif link.place == "right":
        p.text(x0 + 5, (edge + y) / 2 + link.shift, link.words, 11.5, anchor="start")
    else:
        p.text(x0 - 5, (edge + y) / 2 + link.shift, link.words, 11.5, anchor="end")


def draw_borrowed(p: Picture) -> None:
    """Ideas that a network takes over from a second one."""

    def borrow(points: list, words: str, x: float, y: float) -> None:
        p.arrow(*points, dashed=True, stroke=ADD.stroke, halo=True)
        p.small(x, y, words, "start", BORROWED)

    resnet, senet, shuffled = PLACES["05"], PLACES["08"], PLACES["13"]
    x, y = PLACES["06"]
    start = PLACES["04"][0] + HALF_WIDTH, y + 9
    borrow([start, (x - HALF_WIDTH, y + 9)], "branches", resnet[0] - 13, y + 21)
    x, y = PLACES["10"]
    down = resnet[0] - 18
    corners = [(down, resnet[1] + HALF_HEIGHT), (down, y - 10), (x - HALF_WIDTH, y - 10)]
    borrow(corners, "shortcut", down + 6, y - 21)
    x, y = PLACES["11"]
    right = x + 48
    corners = [(senet[0] + HALF_WIDTH, senet[1]), (x, senet[1]), (x, y - HALF_HEIGHT)]
    borrow(corners, "gates", shuffled[0] - 30, senet[1] - 10)
    corners = [(x, senet[1]), (right, senet[1]), (right, y + 60), (x, y + 60)]
    borrow([*corners, (x, PLACES["14"][1] - HALF_HEIGHT)], "gates", right + 5, y + 30)
    x, y = PLACES["18"]
    p.arrow((x - 84, y), (x - HALF_WIDTH, y))
    p.small(x - 90, y, "attention,\nfrom language models", "end")
    newest_x, newest_y = PLACES["19"]
    corners = [(x + HALF_WIDTH, y), (newest_x, y), (newest_x, newest_y - HALF_HEIGHT)]
    borrow(corners, "patches", x + 46, y - 10)


def draw_network(p: Picture, network: Network) -> None:
    x, y = PLACES[network.notebook]
    here = any(FIGURES.parent.glob(f"{network.notebook}_[a-z0-9]*.ipynb"))
    fill, stroke, ink = (STRONG, STRONG, "#ffffff") if here else (PALE, "#A9B7C0", INK)
    words = f"{network.name} · {network.notebook}"
    if "\n" not in network.name:
        words = f"{network.name}\n{network.notebook}"
    with p.group(id=f"notebook-{network.notebook}"):
        box = HALF_WIDTH * 2, HALF_HEIGHT * 2
        p.rect(x, y, *box, fill, stroke, rx=6, stroke_width=1.5)
        p.text(x, y, words, 11, fill=ink, bold=here)


def draw_key(p: Picture) -> None:
    p.rect(24, 550, 24, 16, STRONG, STRONG, rx=4)
    p.small(42, 550, "in the course, with its notebook", "start")
    p.rect(278, 550, 24, 16, PALE, "#A9B7C0", rx=4)
    p.small(296, 550, "still to come", "start")
    p.arrow((404, 550), (434, 550))
    p.small(440, 550, "builds on it, adds the idea on the arrow", "start")
    p.arrow((714, 550), (744, 550), dashed=True, stroke=ADD.stroke)
    p.small(750, 550, "takes this idea over, too", "start")
    p.note(12, 578, "Years are those of the first public version.")


def draw_legend() -> Picture:
    p = Picture("The colours of the course's pictures", 150, width=800)
    rows = [
        ("conv", "pointwise", "depthwise"),
        ("gate", "pool", "linear"),
        ("shuffle", "join", "add"),
        ("data",),
    ]
    for k, roles in enumerate(rows):
        for j, role in enumerate(roles):
            p.key(24 + j * 270, 26 + 32 * k, [role])
    p.note(294, 122, "Batch norm and activation are written beside their convolution.")
    return p


IMAGE = ((1, 1, 1, 5, 5), (1, 1, 1, 5, 5), (1, 1, 1, 5, 5), (1, 1, 5, 5, 5), (1, 5, 5, 5, 5))
KERNEL = ((-1, 0, 1), (-1, 0, 1), (-1, 0, 1))
SHADES = {1: "#8B9196", 5: "#F1F3F4"}  # of the image's numbers
CELL = 38


def convolved(row: int, column: int) -> int:
    """The sum of the products of the kernel and the window that begins there."""
    return sum(KERNEL[i][j] * IMAGE[row + i][column + j] for i in range(3) for j in range(3))


def draw_convolution() -> Picture:
    p = Picture("A convolution in numbers: image of 5 × 5, kernel of 3 × 3, map of 3 × 3", 320)
    y = 142
    window, result = ROLES["conv"].stroke, ROLES["add"].stroke
    draw_numbers(p, 140, y, IMAGE, [[SHADES[n] for n in row] for row in IMAGE])
    p.rect(140, y - CELL, 3 * CELL, 3 * CELL, stroke=window, stroke_width=3.5)
    p.text(270, y, "∗", 24)
    draw_numbers(p, 380, y, KERNEL, [[ROLES["conv"].fill] * 3] * 3)
    p.text(480, y, "=", 22)
    sums = [[convolved(row, column) for column in range(3)] for row in range(3)]
    draw_numbers(p, 590, y, sums, [["#ffffff"] * 3] * 3)
    p.rect(590, y - CELL, CELL, CELL, stroke=result, stroke_width=3.5)
    p.title(140, 24, "image, 5 × 5")
    p.title(380, 24, "kernel, 3 × 3")
    p.title(590, 24, "map, 3 × 3")
    p.title(834, 24, "the framed number")
    for i in range(3):
        products = [f"{KERNEL[i][j]} · {IMAGE[i][j + 1]}".replace("-", "−") for j in range(3)]
        p.text(834, y + CELL * (i - 2), "   +   ".join(products))
    p.line((740, y + 18), (928, y + 18), stroke=INK)
    p.text(834, y + 38, f"sum: {convolved(0, 1)}", bold=True)
    words = (
        "The window moves by one pixel at a time, and has three places in each direction.\n"
        "Where it is bright on the right and dark on the left, the sum is large."
        " Where all is alike, it is 0."
    )
    p.note(14, 286, words)
    return p


def draw_numbers(
    p: Picture,
    x: float,
    y: float,
    rows: Sequence[Sequence[int]],
    fills: Sequence[Sequence[str]],
) -> None:
    """A square of numbers, each on a tile of its colour; its middle is at (x, y)."""
    middle = (len(rows) - 1) / 2
    for i, row in enumerate(rows):
        for j, number in enumerate(row):
            at = x + CELL * (j - middle), y + CELL * (i - middle)
            p.rect(*at, CELL, CELL, fills[i][j], "#6E7378", stroke_width=0.8)
            p.text(*at, str(number).replace("-", "−"), 15)


def draw_small_network() -> Picture:
    rows = [
        Row(CONV_POOL, "layer 1", "3 × 3", stride=2, channels=24, side=16),
        Row(CONV_POOL, "layer 2", "3 × 3", stride=2, channels=48, side=8),
        Row(CONV_POOL, "layer 3", "3 × 3", stride=2, channels=96, side=4),
        Row(CONV, "layer 4", "3 × 3", stride=1, channels=192, side=4),
        *END,
    ]
    return strip("A small network", rows, scale=3.6, thin=0.3)


DRAWINGS = {
    "00_family_tree": draw_family_tree,
    "00_legend": draw_legend,
    "00_convolution": draw_convolution,
    "00_small_network": draw_small_network,
}

if __name__ == "__main__":
    main(DRAWINGS)

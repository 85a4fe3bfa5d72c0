"""The drawings of 00_start_here: the family tree of the networks, and the legend of colours."""

from typing import NamedTuple

from drawing import ADD, FAINT, FIGURES, INK, PALE, STRONG, Picture, main


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


DRAWINGS = {"00_family_tree": draw_family_tree, "00_legend": draw_legend}

if __name__ == "__main__":
    main(DRAWINGS)

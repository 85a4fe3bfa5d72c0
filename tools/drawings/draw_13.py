"""The drawings of 13_shufflenet_v2."""

from typing import NamedTuple

from drawing import (
    ADD,
    CONV,
    END,
    FAINT,
    MAP,
    POINTWISE,
    ROLES,
    RULE,
    Block,
    Picture,
    Row,
    main,
    strip,
)

MAIN_BRANCH = ["pointwise", "depthwise", "pointwise"]
UNIT = Block([["depthwise", "pointwise"], MAIN_BRANCH], later=[[], MAIN_BRANCH], shuffled=True)
ROWS = [
    Row(CONV, "conv1", "3 × 3", stride=1, channels=24, side=32),
    Row(UNIT, "stage 2", "3 × 3", blocks=4, stride=2, channels=116, side=16),
    Row(UNIT, "stage 3", "3 × 3", blocks=8, stride=2, channels=232, side=8),
    Row(UNIT, "stage 4", "3 × 3", blocks=4, stride=2, channels=464, side=4),
    Row(POINTWISE, "conv5", "1 × 1", stride=1, channels=1024, side=4),
    *END,
]


class Box(NamedTuple):
    role: str
    words: str
    small: str = ""


GROUPED = Box("pointwise", "1 × 1, groups", "batch norm, ReLU")
GROUPED_END = Box("pointwise", "1 × 1, groups", "batch norm")
DEPTHWISE = Box("depthwise", "3 × 3", "batch norm")
HALVING = Box("depthwise", "3 × 3", "stride 2\nbatch norm")
PLAIN = Box("pointwise", "1 × 1", "batch norm, ReLU")
SHUFFLE = Box("shuffle", "shuffle")
POOL = Box("pool", "mean, 3 × 3", "stride 2")
JOIN_Y = 362  # where the two branches meet


def draw_strip() -> Picture:
    return strip("ShuffleNet v2 x1.0", ROWS, scale=2.1, thin=0.03)


def draw_units() -> Picture:
    p = Picture("The units of ShuffleNet v1 and v2", 494)
    draw_unit_head(p, 122, "(a) version 1, stride 1")
    draw_fork(p, 122, [], [GROUPED, SHUFFLE, DEPTHWISE, GROUPED_END], "add")
    draw_relu(p, 122, JOIN_Y + 10)
    draw_unit_head(p, 364, "(b) version 1, stride 2")
    draw_fork(p, 364, [POOL], [GROUPED, SHUFFLE, HALVING, GROUPED_END], "join")
    draw_relu(p, 364, JOIN_Y + 13)
    p.line((487, 14), (487, 436), stroke=RULE)
    draw_unit_head(p, 612, "(c) version 2, stride 1")
    draw_fork(p, 612, [], [PLAIN, DEPTHWISE, PLAIN], "join", split=True)
    draw_shuffle(p, 612)
    draw_unit_head(p, 856, "(d) version 2, stride 2")
    draw_fork(p, 856, [HALVING, PLAIN], [PLAIN, HALVING, PLAIN], "join")
    draw_shuffle(p, 856)
    p.key(14, 468, ("pointwise", "depthwise", "pool", "shuffle", "join", "add"))
    return p


def draw_unit_head(p: Picture, x: float, words: str) -> None:
    p.text(x, 22, words, bold=True)


def draw_fork(
    p: Picture, x: float, left: list[Box], right: list[Box], end: str, split: bool = False
) -> None:
    """Two branches of operations, and what joins them: add or join."""
    if split:
        p.arrow((x, 36), (x, 50))
        p.box("join", x, 64, 222, 26, "split")
    else:
        p.line((x, 36), (x, 62))
    for side, branch in ((x - 58, left), (x + 58, right)):
        before = [(side, 77)] if split else [(x, 62), (side, 62)]
        short = end == "add" and not branch
        colour = ADD.stroke if short else FAINT
        before = draw_branch(p, side, branch, before)
        if end == "add":
            edge = x + 10 if side > x else x - 10
            p.arrow(*before, (side, JOIN_Y), (edge, JOIN_Y), stroke=colour)
        else:
            p.arrow(*before, (side, JOIN_Y - 13))
    if end == "add":
        p.sign("add", x, JOIN_Y)
    else:
        p.box("join", x, JOIN_Y, 222, 26, "concatenate")


def draw_branch(p: Picture, x: float, branch: list[Box], before: list[tuple]) -> list[tuple]:
    """Boxes below one another; gives the point from which the next arrow begins."""
    top = 98
    for role, words, small in branch:
        high = 24 if role == "shuffle" else 40 + 14 * small.count("\n")
        p.arrow(*before, (x, top))
        p.box(role, x, top + high / 2, 111, high, words, small)
        before = [(x, top + high)]
        top += high + 19
    return before


def draw_shuffle(p: Picture, x: float) -> None:
    p.arrow((x, JOIN_Y + 13), (x, JOIN_Y + 28))
    p.box("shuffle", x, JOIN_Y + 40, 222, 24, "shuffle")
    p.arrow((x, JOIN_Y + 52), (x, JOIN_Y + 72))


def draw_relu(p: Picture, x: float, start: float) -> None:
    p.text(x + 9, JOIN_Y + 36, "ReLU", anchor="start")
    p.arrow((x, start), (x, JOIN_Y + 72))


def draw_shuffle_of_eight() -> Picture:
    p = Picture("Concatenate, shuffle, split: eight channels of two branches", 270, width=860)
    fills = "#E4E6E8", "#9BA3A9"
    orders = (range(8), range(8), (0, 4, 1, 5, 2, 6, 3, 7))
    for row, order in enumerate(orders):
        for k, channel in enumerate(order):
            x, y = channel_place(row, k)
            if row:
                x0, y0 = channel_place(row - 1, channel)
                stroke = ROLES["shuffle"].stroke if row == 2 else FAINT
                p.arrow((x0, y0 + 20), (x, y - 20), stroke=stroke)
            p.rect(x, y, 40, 36, fills[channel > 3], MAP.stroke)
            p.text(x, y, channel, 14, bold=True)
    p.box("join", 214, 87, 116, 26, "concatenate")
    p.box("shuffle", 214, 173, 116, 26, "shuffle")
    p.box("join", 214, 216, 116, 26, "split")
    p.text(14, 44, "two branches,\nfour channels each", anchor="start")
    p.text(14, 216, "two halves for\nthe next unit", anchor="start")
    x, _ = channel_place(2, 0)
    p.text(x + 58 * 1.5, 252, "left half: two of each", fill=FAINT)
    p.text(x + 58 * 5.5 + 22, 252, "right half: two of each", fill=FAINT)
    return p


def channel_place(row: int, k: int) -> tuple[float, float]:
    """Channel k: the first and the last row are two halves with a gap between them."""
    gap = 0 if row == 1 else 22
    x = 330 + 58 * k + (22 - gap) / 2
    return x + (gap if k > 3 else 0), 44 + 86 * row


def draw_pieces() -> Picture:
    title = "One convolution, or two or four smaller ones, in series and in parallel"
    p = Picture(title, 290, width=860)
    draw_series(p, 80, "1 piece", 1, 56)
    draw_series(p, 220, "2 in series", 2, 40)
    draw_series(p, 360, "4 in series", 4, 28)
    draw_parallel(p, 520, "2 in parallel", 2, 40)
    draw_parallel(p, 722, "4 in parallel", 4, 28)
    p.key(14, 272, ("pointwise", "add"))
    p.note(260, 272, "A number is channels, in and out; the width of a box shows it, too.")
    return p


def draw_pieces_head(p: Picture, x: float, title: str, channels: int) -> None:
    p.title(x, 20, title)
    p.small(x, 39, f"{channels} channels", fill=FAINT)


def draw_series(p: Picture, x: float, title: str, pieces: int, channels: int) -> None:
    draw_pieces_head(p, x, title, channels)
    start = 50.0
    for k in range(pieces):
        y = 144 + 41 * (k - (pieces - 1) / 2)
        p.arrow((x, start), (x, y - 13))
        p.box("pointwise", x, y, channels * 1.5, 26, str(channels))
        start = y + 13
    p.arrow((x, start), (x, 250))


def draw_parallel(p: Picture, x: float, title: str, pieces: int, channels: int) -> None:
    draw_pieces_head(p, x, title, channels)
    wide = channels * 1.5
    p.line((x, 50), (x, 72))
    for k in range(pieces):
        at = x + (wide + 18) * (k - (pieces - 1) / 2)
        p.arrow((x, 72), (at, 72), (at, 131))
        p.box("pointwise", at, 144, wide, 26, str(channels))
        p.line((at, 157), (at, 192), (x, 192))
    p.arrow((x, 192), (x, 206))
    p.sign("add", x, 216)
    p.arrow((x, 226), (x, 250))


DRAWINGS = {
    "13_shufflenet_v2_strip": draw_strip,
    "13_shufflenet_v2_units": draw_units,
    "13_shufflenet_v2_shuffle": draw_shuffle_of_eight,
    "13_shufflenet_v2_pieces": draw_pieces,
}

if __name__ == "__main__":
    main(DRAWINGS)

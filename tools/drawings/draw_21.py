"""The drawings of 21_speed_run."""

import math
import random

from drawing import (
    ADD,
    CONV,
    FAINT,
    INK,
    MAP,
    MEAN,
    PALE,
    ROLES,
    RULE,
    SCORES,
    Block,
    Picture,
    Row,
    main,
    strip,
)

GROUP = Block([["conv", "pool", "conv"]])
ROWS = [
    Row(CONV, "whitening", "2 × 2", stride=1, channels=24, side=31),
    Row(GROUP, "group 1", "3 × 3", stride=2, channels=64, side=15),
    Row(GROUP, "group 2", "3 × 3", stride=2, channels=256, side=7),
    Row(GROUP, "group 3", "3 × 3", stride=2, channels=256, side=3),
    Row(MEAN, "largest", side=1),
    SCORES,
]


def draw_strip() -> Picture:
    return strip("The network of the speed run", ROWS, scale=3.4, thin=0.12)


def draw_whitening() -> Picture:
    p = Picture("Whitening: a long cloud of patches becomes a round one", 318)
    y = 118
    p.photo(98, y, 150)
    p.rect(122, 132, 26, 26, stroke=ROLES["conv"].stroke, stroke_width=2.5)
    p.line((135, 132), (135, 145), stroke=ROLES["conv"].stroke)
    p.text(98, 218, "a patch of 2 × 2 pixels")
    for k in range(12):
        colour = ("#F6C9B8", "#CDE6C8", "#C4D9F0")[k // 4]
        at = 212 + 18 * (k % 2), 62 + 22 * (k // 2)
        p.rect(*at, 17, 20, colour, MAP.stroke, stroke_width=0.8)
    p.text(222, 218, "12 numbers")
    p.arrow((166, 132), (198, y))
    p.arrow((244, y), (284, y))
    rng = random.Random(3)
    draw_cloud(p, rng, 390, y, 34, 9)
    p.text(390, 230, "all patches: neighbours are alike")
    p.small(390, 250, "across: one pixel, up: its neighbour", fill=FAINT)
    p.arrow((490, y), (532, y))
    p.box("conv", 586, y, 106, 78, "turn, then\nstretch", "12 filters")
    p.arrow((640, y), (682, y))
    draw_cloud(p, rng, 784, y, 22, 22)
    p.text(784, 230, "after whitening: as wide in every direction")
    words = (
        "The two lines are the directions in which the patches spread. Each becomes a filter,"
        " divided by its spread.\nWith 12 numbers there are 12 directions."
    )
    p.note(14, 290, words)
    return p


def draw_cloud(
    p: Picture, rng: random.Random, x: float, y: float, long: float, short: float
) -> None:
    """Points that spread `long` up to the right and `short` across, with these directions."""
    p.rect(x, y, 190, 190, "#ffffff", RULE)
    for _ in range(260):
        a, b = rng.gauss(0, long), rng.gauss(0, short)
        right, up = (a - b) / math.sqrt(2), (a + b) / math.sqrt(2)
        if abs(right) < 93 and abs(up) < 93:
            p.circle(x + right, y - up, 1.6, "#6E7378", opacity=0.6)
    for sign, length in ((1, long), (-1, short)):
        reach = 2 * length / math.sqrt(2)
        p.line((x, y), (x + reach, y - sign * reach), stroke=ADD.stroke, width=2.5)


def draw_group() -> Picture:
    p = Picture("A group of the network, and a convolution that begins as an identity", 356)
    y = 76
    steps = [
        ("conv", "3 × 3", "C → C′"),
        ("pool", "max-pool", "2 × 2"),
        ("", "batch norm", "scale fixed"),
        ("", "GELU", ""),
        ("conv", "3 × 3", "C′ → C′"),
        ("", "batch norm", "scale fixed"),
        ("", "GELU", ""),
    ]
    for k, (role, words, small) in enumerate(steps):
        x = 118 + 124 * k
        p.arrow((x - 76, y), (x - 46, y))
        if role:
            p.box(role, x, y, 92, 56, words, small)
        else:
            p.rect(x, y, 92, 56, "#ffffff", FAINT, rx=5, stroke_width=1.5)
            p.box_text(x, y, words, small)
    p.arrow((118 + 124 * 6 + 46, y), (950, y))
    p.small(38, y - 42, "[N, C,\nH, W]")
    p.small(936, y - 46, "[N, C′,\nH/2, W/2]")
    p.small(242, y + 42, "halves the map")
    p.text(14, 160, "At the start:", bold=True, anchor="start")
    draw_filters(p, 168)
    words = "The first C filters are a 1 in the middle of their own channel, and 0 elsewhere:\n"
    words += "they hand the picture on as it is (Dirac, or identity, start)."
    p.text(372, 193, words, anchor="start")
    p.text(372, 268, "The other filters are random, as usual.", anchor="start")
    words = (
        "Each small square is a 3 × 3 kernel: a row for each filter, a column for each input"
        " channel. Black is 1, white is 0."
    )
    p.note(14, 340, words)
    return p


def draw_filters(p: Picture, top: float) -> None:
    """Six filters of three channels: the first three are identities, the others are random."""
    rng = random.Random(5)
    shades = ("#ffffff", PALE, "#C9D3DA", "#9FB0BC")
    for row in range(6):
        y = top + 25 * row
        p.small(292, y, f"filter {row + 1}", "start")
        for column in range(3):
            x = 142 + 62 * column
            for i in range(9):
                shade = "#ffffff" if row < 3 else rng.choice(shades)
                if row == column and i == 4:
                    shade = INK
                at = x + 7 * (i % 3 - 1), y + 7 * (i // 3 - 1)
                p.rect(*at, 7, 7, shade, "#B9BEC2", stroke_width=0.6)


def draw_flip() -> Picture:
    p = Picture("Flips drawn anew in each epoch, and alternating flips", 280)
    draw_epochs(p, 134, "drawn anew", ("0110", "1110", "0001"))
    draw_epochs(p, 620, "alternating", ("0101", "1010", "0101"))
    for row in range(3):
        p.text(14, 84 + 58 * row, f"picture {row + 1}", anchor="start")
    p.line((500, 14), (500, 228), stroke=RULE)
    words = (
        "Orange: the same picture the same way round twice in a row.\n"
        "Alternating flips never do that: two epochs show every picture both ways."
    )
    p.note(14, 254, words)
    return p


def draw_epochs(p: Picture, left: float, title: str, rows: tuple[str, ...]) -> None:
    """A row for each picture, a column for each epoch; "1" is flipped."""
    p.title(left + 132, 20, title)
    for epoch in range(4):
        p.small(left + 88 * epoch, 44, f"epoch {epoch + 1}")
    for row, flips in enumerate(rows):
        y = 84 + 58 * row
        for epoch in range(1, 4):
            if flips[epoch - 1] == flips[epoch]:
                p.rect(left + 88 * epoch - 44, y, 136, 54, "#FCD9C5", rx=6)
        for epoch, flip in enumerate(flips):
            mirror = "-1" if flip == "1" else "1"
            with p.group(transform=f"translate({left + 88 * epoch} {y}) scale({mirror} 1)"):
                p.photo(0, 0, 44)


DRAWINGS = {
    "21_speed_run_strip": draw_strip,
    "21_speed_run_whitening": draw_whitening,
    "21_speed_run_group": draw_group,
    "21_speed_run_flip": draw_flip,
}

if __name__ == "__main__":
    main(DRAWINGS)

"""The drawings of 21_speed_run."""

import math
import random

from draw import BLOCKS, END, FAINT, INK, PALE, ROLES, STRIPS, Picture, figure, picture

BLOCKS["speed-group"] = ([["conv", "pool", "conv"]], "")
STRIPS["21_speed_run_strip"] = ("The network of the speed run", 3.4, 0.12, 32, 3, [
    ("conv", "whitening", "2 × 2", "", "", 1, 24, 31),
    ("speed-group", "group 1", "3 × 3", "", "", 2, 64, 15),
    ("speed-group", "group 2", "3 × 3", "", "", 2, 256, 7),
    ("speed-group", "group 3", "3 × 3", "", "", 2, 256, 3),
    ("mean", "largest", "", "", "", "", 0, 1),
    END[1],
])  # fmt: skip


@figure
def fig_21_speed_run_whitening() -> Picture:
    p = Picture("Whitening: a long cloud of patches becomes a round one", 980, 300)
    rng = random.Random(3)
    picture(p, 96, 118, 150, 3)
    p.rect(120, 132, 26, 26, "none", ROLES["conv"][2], stroke_width=2.5)
    p.line((133, 132), (133, 145), stroke=ROLES["conv"][2])
    p.small(96, 212, "a patch of 2 × 2 pixels")
    for k in range(12):
        colour = ("#F6C9B8", "#CDE6C8", "#C4D9F0")[k // 4]
        p.rect(
            204 + 18 * (k % 2) + 0,
            58 + 22 * (k // 2),
            17,
            20,
            colour,
            ROLES["data"][2],
            stroke_width=0.8,
        )
    p.small(213, 212, "12 numbers")
    p.arrow((160, 132), (190, 118))
    p.arrow((240, 118), (282, 118))
    clouds = (
        (390, 34, 9, "all patches: neighbours are alike"),
        (760, 22, 22, "after whitening: as wide in every direction"),
    )
    for x, long, short, words in clouds:
        p.rect(x, 118, 190, 190, "#ffffff", "#D9DCDE")
        for _ in range(260):
            a, b = rng.gauss(0, long), rng.gauss(0, short)
            turned = x + (a - b) / math.sqrt(2), 118 - (a + b) / math.sqrt(2)
            if abs(turned[0] - x) < 93 and abs(turned[1] - 118) < 93:
                p.draw(
                    "circle",
                    cx=f"{turned[0]:.1f}",
                    cy=f"{turned[1]:.1f}",
                    r=1.6,
                    fill="#6E7378",
                    opacity=0.6,
                )
        for sign, length in ((1, long), (-1, short)):
            end = 2 * length / math.sqrt(2)
            p.line((x, 118), (x + end, 118 - sign * end), stroke=ROLES["add"][2], width=2.5)
        p.small(x, 228, words)
        p.small(x, 244, "across: one pixel, up: its neighbour" if x < 500 else "")
    p.arrow((490, 118), (524, 118))
    p.box("conv", 575, 118, 100, 74, "turn, then\nstretch", "12 filters")
    p.arrow((626, 118), (660, 118))
    p.text(14, 280, "The two lines are the directions in which the patches spread. Each becomes a filter, divided by its spread. With 12 numbers there are"
           " 12 directions.", 11, anchor="start", fill=FAINT)  # fmt: skip
    return p


@figure
def fig_21_speed_run_group() -> Picture:
    p = Picture("A group of the network, and a convolution that begins as an identity", 980, 330)
    y = 84
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
        p.arrow((x - 76, y), (x - 44, y))
        if role:
            p.box(role, x, y, 88, 56, words, small)
        else:
            p.rect(x, y, 88, 56, "#ffffff", FAINT, 5, stroke_width=1.5)
            p.text(x, y - 6 * bool(small), words)
            p.small(x, y + 9, small)
    p.arrow((118 + 124 * 6 + 44, y), (950, y))
    p.small(40, y - 34, "[N, C,\nH, W]")
    p.small(934, y - 34, "[N, C′,\nH/2, W/2]")
    p.small(242, y + 46, "halves the map")
    p.text(14, 156, "At the start:", 12, bold=True, anchor="start")
    rng = random.Random(5)
    for row in range(6):
        for column in range(3):
            same = row == column
            x, at = 130 + 62 * column, 172 + 25 * row
            for i in range(9):
                shade = (
                    "#ffffff" if row < 3 else rng.choice(("#ffffff", PALE, "#C9D3DA", "#9FB0BC"))
                )
                if same and i == 4:
                    shade = INK
                p.rect(
                    x + 7 * (i % 3 - 1),
                    at + 7 * (i // 3 - 1),
                    7,
                    7,
                    shade,
                    "#B9BEC2",
                    stroke_width=0.6,
                )
        p.small(280, 172 + 25 * row, f"filter {row + 1}", "start")
    p.text(360, 194, "The first C filters are a 1 in the middle of their own channel, and 0 elsewhere:\n"
           "they hand the picture on as it is (Dirac, or identity, start).", 12, anchor="start")  # fmt: skip
    p.text(360, 272, "The other filters are random, as usual.", 12, anchor="start")
    p.note(
        14,
        320,
        "Each small square is a 3 × 3 kernel: a row for each filter, a column for each input channel. Black is 1, white is 0.",
    )
    return p


@figure
def fig_21_speed_run_flip() -> Picture:
    p = Picture("Flips drawn anew in each epoch, and alternating flips", 980, 250)
    drawn = ("0110", "1110", "0001")
    for left, title, rows in (
        (130, "drawn anew", drawn),
        (600, "alternating", ("0101", "1010", "0101")),
    ):
        p.text(left + 132, 20, title, 13, bold=True)
        for epoch in range(4):
            p.small(left + 88 * epoch, 42, f"epoch {epoch + 1}")
        for row, flips in enumerate(rows):
            if left < 200:
                p.small(62, 80 + 58 * row, f"picture {row + 1}", "end")
            for epoch, flip in enumerate(flips):
                x, y = left + 88 * epoch, 80 + 58 * row
                if epoch and flips[epoch - 1] == flip:
                    p.rect((2 * x - 88) / 2, y, 136, 52, "#FCEBE1", "none", 6)
        for row, flips in enumerate(rows):
            for epoch, flip in enumerate(flips):
                x, y = left + 88 * epoch, 80 + 58 * row
                p.parts.append(
                    f'<g transform="translate({x} {y}) scale({-1 if flip == "1" else 1} 1)">'
                )
                ship(p)
                p.parts.append("</g>")
    p.line((532, 14), (532, 218), stroke="#D9DCDE")
    p.note(
        14,
        238,
        "Orange: the same picture the same way round twice in a row. Alternating flips never do that: two epochs show every picture both ways.",
    )
    return p


def ship(p: Picture) -> None:
    """A small picture that is not the same from left and right."""
    p.rect(0, 0, 44, 44, "#E3E6E8", ROLES["data"][2])
    p.rect(0, 15, 44, 13, "#A3A9AD", "none")
    p.draw("path", d="M-16 6h34l-8 9h-20z", fill="#4F565B")
    p.draw("path", d="M-10 6v-8h9v8z M-8 -2v-10h5v10z", fill="#777E83")

"""The drawings of 07_densenet."""

from drawing import CONV, END, FAINT, MAP, PALE, Block, Picture, Row, main, strip

DENSE = Block([["pointwise", "conv"]])
TRANSITION = Block([["pointwise", "pool"]])
ROWS = [
    Row(CONV, "stem", "3 × 3", stride=1, channels=24, side=32),
    Row(DENSE, "block 1", "1 × 1, 3 × 3", blocks=6, stride=1, channels=96, side=32),
    Row(TRANSITION, "transition", "1 × 1", stride=2, channels=48, side=16),
    Row(DENSE, "block 2", "1 × 1, 3 × 3", blocks=6, stride=1, channels=120, side=16),
    Row(TRANSITION, "transition", "1 × 1", stride=2, channels=60, side=8),
    Row(DENSE, "block 3", "1 × 1, 3 × 3", blocks=6, stride=1, channels=132, side=8),
    *END,
]
SOURCES = [  # its channels, its colour (none of the legend's), where its lane runs
    (24, MAP.fill, MAP.stroke, 34),
    (12, "#D9BC93", "#8A6631", 52),
    (12, "#C4B4E6", "#6D54AE", 64),
    (12, "#EFA6A0", "#B23A31", 76),
    (12, "#93ABB8", "#3E5B6B", 88),
]


def draw_strip() -> Picture:
    return strip("DenseNet-BC, L = 40, k = 12", ROWS, scale=2.3, thin=0.15)


def draw_block() -> Picture:
    p = Picture("A dense block of four layers: each reads the maps of all before it", 362)
    p.slab(46, 186, 30, 74)
    p.text(46, 240, "the input\n24 maps")
    draw_lane(p, 0, 46, 148)
    for number in range(1, 5):
        draw_layer(p, number, 150 + 202 * (number - 1))
    top = SOURCES[0][3] - 12
    for channels, fill, stroke, _ in SOURCES:
        p.rect(942, top + channels / 2, 34, channels, fill, stroke)
        top += channels
    p.text(972, 120, "72 maps\nto the transition", anchor="end")
    p.line((14, 300), (966, 300), stroke=PALE)
    words = (
        "A colour is a source. A dot: here the maps of this source are read."
        " What a layer made is never changed again."
    )
    p.note(14, 318, words)
    p.key(14, 344, ["data", "pointwise", "conv"])
    return p


def draw_lane(p: Picture, source: int, x: float, y: float) -> None:
    """From the maps of a source at (x, y) up to its lane, and along it to the end."""
    _, _, stroke, lane = SOURCES[source]
    p.line((x, y), (x, lane), (925, lane), stroke=stroke, width=2)


def draw_layer(p: Picture, number: int, x: float) -> None:
    """A dense layer, what it reads and the maps that it adds."""
    p.rect(x, 196, 124, 128, "#ffffff", FAINT, rx=8, stroke_dasharray="4 3")
    for source in range(number):
        _, _, stroke, lane = SOURCES[source]
        at = x + 14 * (source - (number - 1) / 2)
        p.arrow((at, lane), (at, 132), stroke=stroke, width=2, halo=True)
        p.circle(at, lane, 4, stroke)
    p.small(x, 146, "batch norm, ReLU")
    p.box("pointwise", x, 168, 96, 26, "1 × 1")
    p.small(x, 196, "batch norm, ReLU")
    p.box("conv", x, 220, 96, 26, "3 × 3")
    p.text(x, 276, f"dense layer {number}", bold=True)
    channels, fill, stroke, _ = SOURCES[number]
    out = x + 98
    p.arrow((x + 48, 220), (out - 9, 220))
    p.rect(out, 220, channels * 1.2, 56, fill, stroke)
    p.text(out + 2, 262, "12 new")
    draw_lane(p, number, out, 192)


DRAWINGS = {"07_densenet_strip": draw_strip, "07_densenet_block": draw_block}

if __name__ == "__main__":
    main(DRAWINGS)

"""The drawings of 04_googlenet."""

from drawing import END, MAP, MEAN, Block, Picture, Row, main, strip

STEM = Block([["conv", "pool", "pointwise", "conv", "pool"]])
INCEPTION = Block(
    [["pointwise"], ["pointwise", "conv"], ["pointwise", "conv"], ["pool", "pointwise"]],
    column=6,
)
ROWS = [
    Row(STEM, "stem", "3 × 3", channels=192, side=8),
    Row(INCEPTION, "3a, 3b", blocks=2, channels=480, side=8),
    Row(MEAN, "pool 3", "3 × 3", stride=2, channels=480, side=4),
    Row(INCEPTION, "4a to 4e", blocks=5, channels=832, side=4),
    Row(INCEPTION, "5a, 5b", blocks=2, channels=1024, side=4),
    *END,
]
BRANCHES = [
    [("pointwise", "1 × 1", "64")],
    [("pointwise", "1 × 1", "reduction: 96"), ("conv", "3 × 3", "128")],
    [("pointwise", "1 × 1", "reduction: 16"), ("conv", "5 × 5", "32")],
    [("pool", "3 × 3 max-pool", "stride 1"), ("pointwise", "1 × 1", "32")],
]


def draw_strip() -> Picture:
    return strip("GoogLeNet", ROWS, scale=3.0, thin=0.03)


def draw_block() -> Picture:
    title = "The Inception block: four branches side by side, block 3a with its channels"
    p = Picture(title, 404)
    p.slab(490, 38, 40, 40, 16)
    p.text(540, 38, "192 channels", anchor="start")
    for k, boxes in enumerate(BRANCHES):
        x = 140 + 233 * k
        top = 125 if len(boxes) == 2 else 165
        heights = p.column(x, top, boxes, 80, 160)
        p.arrow((490, 60), (490, 82), (x, 82), (x, heights[0] - 20))
        p.line((x, heights[-1] + 20), (x, 258), (490, 258))
    p.arrow((490, 258), (490, 284))
    p.box("join", 490, 302, 220, 36, "concatenate")
    p.arrow((490, 320), (490, 344))
    p.text(490, 360, "64 + 128 + 32 + 32 = 256 channels")
    p.key(14, 384, ["conv", "pointwise", "pool"])
    return p


def draw_pointwise() -> Picture:
    p = Picture(
        "A 1 × 1 convolution: one linear layer, applied to the channels of each position", 262
    )
    matrix_x = 490
    y = 112
    p.slab(110, y, 120, 120, 60)
    p.tile("pointwise", 95, y - 15, 15, 15)
    p.text(130, 223, "192 channels, 8 × 8")
    draw_column(p, 285, y, 12)
    p.line((103, y - 15), (266, y - 96), dashed=True)
    p.line((103, y - 15), (266, y + 84), dashed=True)
    p.text(285, 230, "one position:\n192 numbers")
    p.arrow((308, y), (426, y))
    for row in range(12):
        for column in range(4):
            at = matrix_x + 26 * (column - 1.5), y + 15 * (row - 5.5)
            p.tile("pointwise", *at, 26, 15, 0.8)
    p.text(matrix_x, 230, "a linear layer: 192 × 64 weights,\nthe same at each position")
    p.arrow((554, y), (648, y))
    draw_column(p, 670, y, 4)
    p.text(670, 230, "64 numbers for\nthis position")
    p.arrow((692, y), (770, y))
    p.slab(838, y, 120, 120, 20)
    p.tile("pointwise", 823, y - 15, 15, 15)
    p.text(848, 223, "64 channels, 8 × 8")
    return p


def draw_column(p: Picture, x: float, y: float, count: int) -> None:
    """The channels of one position, as a column of numbers."""
    for row in range(count):
        p.rect(x, y + 15 * (row - (count - 1) / 2), 26, 15, MAP.fill, MAP.stroke)


DRAWINGS = {
    "04_googlenet_strip": draw_strip,
    "04_googlenet_block": draw_block,
    "04_googlenet_pointwise": draw_pointwise,
}

if __name__ == "__main__":
    main(DRAWINGS)

"""The drawings of 04_googlenet."""

from drawing import END, MEAN, Block, Picture, Row, main, strip

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


DRAWINGS = {"04_googlenet_strip": draw_strip, "04_googlenet_block": draw_block}

if __name__ == "__main__":
    main(DRAWINGS)

"""The drawings of 03_vgg."""

from drawing import CONV, MEAN, ROLES, SCORES, Block, Picture, Row, main, strip

POOL_CONV = Block([["pool", "conv"]])
ROWS = [
    Row(CONV, "stage 1", "3 × 3", channels=64, side=32),
    Row(POOL_CONV, "stage 2", "3 × 3", channels=128, side=16),
    Row(POOL_CONV, "stage 3", "3 × 3", channels=256, side=8),
    Row(CONV, "", "3 × 3", channels=256, side=8),
    Row(POOL_CONV, "stage 4", "3 × 3", channels=512, side=4),
    Row(CONV, "", "3 × 3", channels=512, side=4),
    Row(POOL_CONV, "stage 5", "3 × 3", channels=512, side=2),
    Row(CONV, "", "3 × 3", channels=512, side=2),
    Row(MEAN, "pool", "2 × 2", channels=512, side=1),
    SCORES,
]


def draw_strip() -> Picture:
    return strip("VGG-11", ROWS, scale=2.7, thin=0.06)


def draw_window() -> Picture:
    p = Picture("What one output of two 3 × 3 convolutions depends on", 264)
    stroke = ROLES["conv"].stroke
    for x, first, side, words in (
        (150, 1, 5, "input: 5 × 5 pixels"),
        (490, 2, 3, "map between: 3 × 3"),
        (830, 3, 1, "one output"),
    ):
        chosen = [(first + k % side, first + k // side) for k in range(side * side)]
        p.grid(x, 130, 7, 26, chosen)
        p.text(x, 244, words, 14)
    for x0, x1, half in ((150, 490, 65), (490, 830, 39)):
        for sign in (-1, 1):
            start = x0 + half, 130 + sign * half
            end = x1 - (half - 26), 130 + sign * (half - 26)
            p.line(start, end, stroke=stroke, dashed=True)
        p.text((x0 + x1) / 2, 18, "3 × 3 convolution", 14)
    return p


def draw_block() -> Picture:
    p = Picture("A stage of VGG: convolutions of 3 × 3, then a max-pool", 166)
    y = 68
    p.slab(76, y, 64, 64, 12)
    p.text(76, 122, "C, H × W")
    steps = [
        ("conv", "3 × 3", "batch norm, ReLU"),
        ("conv", "3 × 3", "batch norm, ReLU"),
        ("pool", "max-pool", "2 × 2, stride 2"),
    ]
    for k, (role, words, small) in enumerate(steps):
        x = 258 + 220 * k
        p.arrow((x - (135 if k == 0 else 143), y), (x - 79, y))
        p.box(role, x, y, 154, 50, words, small)
    p.arrow((775, y), (845, y))
    p.slab(870, y + 6, 32, 32, 24)
    p.text(876, 122, "D, H/2 × W/2")
    p.key(14, 147, ["conv", "pool"])
    return p


DRAWINGS = {
    "03_vgg_strip": draw_strip,
    "03_vgg_window": draw_window,
    "03_vgg_block": draw_block,
}

if __name__ == "__main__":
    main(DRAWINGS)

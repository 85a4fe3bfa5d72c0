"""The drawings of 06_resnext."""

from drawing import ADD, CONV, END, Block, Picture, Row, main, strip

BOTTLENECK = Block([["pointwise", "conv", "pointwise"]], shortcut="all")
ROWS = [
    Row(CONV, "stem", "3 × 3", stride=1, channels=64, side=32),
    Row(BOTTLENECK, "stage 1", "1, 3, 1", blocks=3, stride=2, channels=256, side=16),
    Row(BOTTLENECK, "stage 2", "1, 3, 1", blocks=3, stride=2, channels=512, side=8),
    Row(BOTTLENECK, "stage 3", "1, 3, 1", blocks=3, stride=2, channels=1024, side=4),
    *END,
]
PATH = [
    ("pointwise", "1 × 1", "256 → 4"),
    ("conv", "3 × 3", "4 → 4"),
    ("pointwise", "1 × 1", "4 → 256"),
]
GROUPED = [
    ("pointwise", "1 × 1", "256 → 64"),
    ("conv", "3 × 3, 16 groups", "64 → 64"),
    ("pointwise", "1 × 1", "64 → 256"),
]


def draw_strip() -> Picture:
    return strip("ResNeXt-29, 16 × 4d", ROWS, scale=3.4, thin=0.05)


def draw_block() -> Picture:
    title = "A ResNeXt block as many paths, and as one path with a grouped convolution"
    p = Picture(title, 436)
    p.title(270, 22, "16 paths of 4 channels, added")
    for x in (90, 210, 430):
        p.column(x, 114, PATH, 64, 104)
        p.arrow((270, 56), (270, 74), (x, 74), (x, 94))
        p.line((x, 262), (x, 284), (270, 284))
    p.text(320, 178, "…", 22, bold=True)
    p.arrow((270, 284), (270, 308))
    draw_shortcut(p, 270, 508)

    p.title(750, 22, "the same as a grouped convolution")
    p.column(750, 114, GROUPED, 64, 180)
    p.arrow((750, 56), (750, 94))
    p.arrow((750, 262), (750, 308))
    draw_shortcut(p, 750, 890)
    p.text(898, 190, "shortcut", anchor="start")
    p.note(14, 392, "Each convolution has a batch norm. ReLU follows the first two, and the sum.")
    p.key(14, 416, ["conv", "pointwise", "add"])
    return p


def draw_shortcut(p: Picture, x: float, side: float) -> None:
    p.text(x, 45, "256 channels")
    p.arrow((x, 63), (side, 63), (side, 318), (x + 12, 318), stroke=ADD.stroke, width=2.2)
    p.sign("add", x, 318)
    p.arrow((x, 329), (x, 350))
    p.text(x, 362, "256 channels")


def draw_groups() -> Picture:
    p = Picture("The weights of a convolution without groups, and with four groups", 300)
    draw_weights(p, 270, 1, "1 group")
    draw_weights(p, 710, 4, "4 groups")
    return p


def draw_weights(p: Picture, x: float, groups: int, words: str) -> None:
    """Which of 16 output channels (rows) reads which of 16 input channels (columns)."""
    size = 16 // groups
    chosen = [
        (column, row) for row in range(16) for column in range(16) if row // size == column // size
    ]
    p.title(x, 18, f"{words}: {len(chosen)} windows of 3 × 3 weights")
    p.grid(x, 148, 16, 14, chosen)
    p.small(x, 272, "16 channels in")
    p.text(x - 122, 148, "16\nchannels\nout", 12, anchor="end")


DRAWINGS = {
    "06_resnext_strip": draw_strip,
    "06_resnext_block": draw_block,
    "06_resnext_groups": draw_groups,
}

if __name__ == "__main__":
    main(DRAWINGS)

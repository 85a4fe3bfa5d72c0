"""The drawings of 06_resnext."""

from drawing import ADD, CONV, END, Block, Picture, Row, main, strip

BOTTLENECK = Block([["pointwise", "conv", "pointwise"]], shortcut="all")
ROWS = [
    Row(CONV, "stem", "3 × 3", stride=1, channels=64, side=32),
    Row(BOTTLENECK, "stage 1", "3 × 3", blocks=3, stride=2, channels=256, side=16),
    Row(BOTTLENECK, "stage 2", "3 × 3", blocks=3, stride=2, channels=512, side=8),
    Row(BOTTLENECK, "stage 3", "3 × 3", blocks=3, stride=2, channels=1024, side=4),
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
    p = Picture(title, 412)
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
    p.key(14, 392, ["conv", "pointwise", "add"])
    return p


def draw_shortcut(p: Picture, x: float, side: float) -> None:
    p.text(x, 45, "256 channels")
    p.arrow((x, 63), (side, 63), (side, 318), (x + 12, 318), stroke=ADD.stroke, width=2.2)
    p.sign("add", x, 318)
    p.arrow((x, 329), (x, 350))
    p.text(x, 362, "256 channels")


DRAWINGS = {"06_resnext_strip": draw_strip, "06_resnext_block": draw_block}

if __name__ == "__main__":
    main(DRAWINGS)

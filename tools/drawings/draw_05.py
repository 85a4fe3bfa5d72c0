"""The drawings of 05_resnet."""

from drawing import ADD, CONV, END, FAINT, OUTSIDE, Block, Picture, Row, main, strip

RESIDUAL = Block([["conv", "conv"]], shortcut="all")
ROWS = [
    Row(CONV, "stem", "3 × 3", stride=1, channels=16, side=32),
    Row(RESIDUAL, "stage 1", "3 × 3", blocks=3, stride=1, channels=16, side=32),
    Row(RESIDUAL, "stage 2", "3 × 3", blocks=3, stride=2, channels=32, side=16),
    Row(RESIDUAL, "stage 3", "3 × 3", blocks=3, stride=2, channels=64, side=8),
    *END,
]


def draw_strip() -> Picture:
    return strip("ResNet-20", ROWS, scale=3.6, thin=0.3)


def draw_block() -> Picture:
    p = Picture("A plain block, and a residual block with its shortcut", 364)
    boxes = [("conv", "3 × 3", "batch norm, ReLU"), ("conv", "3 × 3", "batch norm")]
    for x, title in ((270, "plain"), (690, "residual")):
        p.title(x, 22, title)
        p.text(x, 50, "x", 14)
        p.arrow((x, 60), (x, 92))
        p.column(x, 112, boxes, 80, 190)
    p.arrow((270, 212), (270, 252))
    p.text(270, 264, "ReLU", 14)
    p.arrow((270, 276), (270, 320))
    p.text(270, 336, "ReLU(F(x))", 14)
    p.arrow((690, 212), (690, 252))
    p.sign("add", 690, 262)
    p.arrow((690, 74), (860, 74), (860, 262), (702, 262), stroke=ADD.stroke, width=2.5)
    p.text(870, 168, "shortcut", 14, anchor="start")
    p.arrow((690, 273), (690, 320))
    p.text(690, 336, "ReLU(x + F(x))", 14)
    p.key(14, 346, ["conv", "add"])
    return p


def draw_option_a() -> Picture:
    title = "Option A of the shortcut: every second pixel, and channels of zeros on both sides"
    p = Picture(title, 250)
    kept = [(2 * (k % 4), 2 * (k // 4)) for k in range(16)]
    p.grid(140, 110, 8, 20, kept, "add")
    p.text(140, 220, "one of 16 channels: 8 × 8,\nevery second pixel is kept")
    p.arrow((240, 110), (300, 110))
    p.grid(370, 110, 4, 20, [(k % 4, k // 4) for k in range(16)], "add")
    p.text(370, 212, "4 × 4")
    p.arrow((430, 110), (490, 110))
    for k in range(32):
        x = 518 + 14 * k
        if 8 <= k < 24:
            p.rect(x, 110, 11, 80, ADD.fill, ADD.stroke)
        else:
            p.rect(x, 110, 11, 80, "#ffffff", OUTSIDE)
            p.text(x, 110, "0", 11, fill=FAINT)
    p.text(518 + 14 * 3.5, 172, "8 of zeros")
    p.text(518 + 14 * 15.5, 172, "16 channels of 4 × 4")
    p.text(518 + 14 * 27.5, 172, "8 of zeros")
    p.text(518 + 14 * 15.5, 212, "32 channels of 4 × 4")
    return p


DRAWINGS = {
    "05_resnet_strip": draw_strip,
    "05_resnet_block": draw_block,
    "05_resnet_option_a": draw_option_a,
}

if __name__ == "__main__":
    main(DRAWINGS)

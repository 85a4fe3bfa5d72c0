"""The drawings of notebooks 01 to 07; `draw.py` runs this file."""

from draw import BLOCKS, END, FAINT, INK, PALE, ROLES, STRIPS, Picture, figure

BLOCKS |= {
    "conv-pool": ([["conv", "pool"]], ""),
    "dense": ([["pointwise", "conv"]], ""),
    "transition": ([["pointwise", "pool"]], ""),
    "residual": ([["conv", "conv"]], "all"),
    "bottleneck": ([["pointwise", "conv", "pointwise"]], "all"),
    "max-pool": ([["pool"]], ""),
    "stem-pool": ([["conv", "pool", "pointwise", "conv", "pool"]], ""),
    "inception": (
        [["pointwise"], ["pointwise", "conv"], ["pointwise", "conv"], ["pool", "pointwise"]],
        "",
    ),
}
LINEAR = ("linear", "linear", "", "", "", "", 10, 0)
STRIPS |= {
    "01_lenet_strip": ("LeNet-5", 4.2, 0.5, 32, 3, [
        ("conv-pool", "C1, S2", "5 × 5", "", 1, "", 6, 14),
        ("conv-pool", "C3, S4", "5 × 5", "", 1, "", 16, 5),
        ("conv", "C5", "5 × 5", "", 1, "", 120, 1),
        ("linear", "F6", "", "", "", "", 84, 1),
        ("linear", "output", "", "", "", "", 10, 0),
    ]),
    "02_alexnet_strip": ("AlexNet", 3.2, 0.08, 32, 3, [
        ("conv-pool", "conv 1", "5 × 5", "", 1, 1, 64, 15),
        ("conv-pool", "conv 2", "5 × 5", "", 1, 1, 192, 7),
        ("conv", "conv 3", "3 × 3", "", 1, 1, 384, 7),
        ("conv", "conv 4", "3 × 3", "", 1, 1, 256, 7),
        ("conv-pool", "conv 5", "3 × 3", "", 1, 1, 256, 3),
        ("linear", "linear 1", "", "", "", "", 1024, 1),
        ("linear", "linear 2", "", "", "", "", 1024, 1),
        LINEAR,
    ]),
    "03_vgg_strip": ("VGG-11", 3.4, 0.07, 32, 3, [
        ("conv-pool", "stage 1", "3 × 3", "", 1, "", 64, 16),
        ("conv-pool", "stage 2", "3 × 3", "", 1, "", 128, 8),
        ("conv", "stage 3", "3 × 3", "", 1, "", 256, 8),
        ("conv-pool", "", "3 × 3", "", 1, "", 256, 4),
        ("conv", "stage 4", "3 × 3", "", 1, "", 512, 4),
        ("conv-pool", "", "3 × 3", "", 1, "", 512, 2),
        ("conv", "stage 5", "3 × 3", "", 1, "", 512, 2),
        ("conv-pool", "", "3 × 3", "", 1, "", 512, 1),
        LINEAR,
    ]),
    "04_googlenet_strip": ("GoogLeNet", 3.0, 0.05, 32, 3, [
        ("stem-pool", "stem", "3 × 3", "", 1, "", 192, 8),
        ("inception", "blocks 3a, 3b", "", "", 2, "", 480, 8),
        ("max-pool", "pool 3", "3 × 3", "", 1, 2, 480, 4),
        ("inception", "blocks 4a to 4e", "", "", 5, "", 832, 4),
        ("inception", "blocks 5a, 5b", "", "", 2, "", 1024, 4),
        *END,
    ]),
    "05_resnet_strip": ("ResNet-20", 3.6, 0.3, 32, 3, [
        ("conv", "stem", "3 × 3", "", 1, 1, 16, 32),
        ("residual", "stage 1", "3 × 3", "", 3, 1, 16, 32),
        ("residual", "stage 2", "3 × 3", "", 3, 2, 32, 16),
        ("residual", "stage 3", "3 × 3", "", 3, 2, 64, 8),
        *END,
    ]),
    "06_resnext_strip": ("ResNeXt-29, 16 × 4d", 3.4, 0.05, 32, 3, [
        ("conv", "stem", "3 × 3", "", 1, 1, 64, 32),
        ("bottleneck", "stage 1", "3 × 3", "", 3, 2, 256, 16),
        ("bottleneck", "stage 2", "3 × 3", "", 3, 2, 512, 8),
        ("bottleneck", "stage 3", "3 × 3", "", 3, 2, 1024, 4),
        *END,
    ]),
    "07_densenet_strip": ("DenseNet-BC, L = 40, k = 12", 2.7, 0.2, 32, 3, [
        ("conv", "stem", "3 × 3", "", 1, 1, 24, 32),
        ("dense", "block 1", "3 × 3", "", 6, 1, 96, 32),
        ("transition", "transition", "2 × 2", "", 1, 2, 48, 16),
        ("dense", "block 2", "3 × 3", "", 6, 1, 120, 16),
        ("transition", "transition", "2 × 2", "", 1, 2, 60, 8),
        ("dense", "block 3", "3 × 3", "", 6, 1, 132, 8),
        *END,
    ]),
}  # fmt: skip
MAP = ROLES["data"]


def grid(
    p: Picture, x: float, y: float, n: int, cell: float, inside=(), fill: str = "", stroke: str = ""
) -> None:
    """n × n squares around (x, y); those whose (column, row) is in `inside` have another colour."""
    for i in range(n * n):
        column, row = i % n, i // n
        at = (x + cell * (column - (n - 1) / 2), y + cell * (row - (n - 1) / 2))
        chosen = (column, row) in inside
        p.rect(
            *at,
            cell,
            cell,
            fill if chosen else MAP[1],
            stroke if chosen else MAP[2],
            stroke_width=0.8,
        )


@figure
def fig_01_lenet_sharing() -> Picture:
    p = Picture(
        "A dense layer and a convolution: weights of one output, and of all outputs of a map",
        980,
        300,
    )
    p.text(240, 22, "dense: each output has weights of its own for all pixels", 13, bold=True)
    p.text(730, 22, "convolution: all outputs of a map share 25 weights", 13, bold=True)
    grid(p, 120, 150, 8, 22)
    for k, y in enumerate((80, 150, 220)):
        colour = (ROLES["conv"], ROLES["gate"], ROLES["add"])[k][2]
        for row in range(8):
            p.line((120 + 88, 150 + 22 * (row - 3.5)), (380, y), stroke=colour, width=0.9)
        p.draw("circle", cx=388, cy=y, r=9, fill=ROLES["linear"][1], stroke=INK, stroke_width=1.5)
    p.small(120, 256, "8 × 8 pixels")
    p.small(388, 256, "three outputs: 3 × 64 weights")
    _, fill, stroke = ROLES["conv"]
    places = ((0, 0), (3, 1), (1, 3))
    grid(p, 610, 150, 8, 22)
    for k, (column, row) in enumerate(places):
        x, y = 610 + 22 * (column + 2 - 3.5), 150 + 22 * (row + 2 - 3.5)
        p.rect(x, y, 110, 110, "none", stroke, stroke_width=2.2)
        out_x, out_y = 850 + 22 * (column - 1.5), 150 + 22 * (row - 1.5)
        p.line((x + 55, y - 55 + 14 * k), (out_x, out_y), stroke=stroke, dashed=True)
    grid(p, 850, 150, 4, 22, places, fill, stroke)
    p.small(610, 256, "8 × 8 pixels, windows of 5 × 5")
    p.small(850, 256, "a map of 4 × 4: 16 outputs, 25 weights")
    p.note(
        14,
        284,
        "Only some lines are drawn. The same window of weights slides over the picture, and finds the same thing everywhere.",
    )
    return p


@figure
def fig_02_alexnet_dropout() -> Picture:
    p = Picture("A neuron and its eight inputs, in training with dropout and in testing", 980, 250)
    dropped = {0: (1, 4, 6, 7), 1: (0, 2, 3, 6), 2: ()}
    for k, title in enumerate(("training, one step", "training, the next step", "testing")):
        x = 170 + 320 * k
        p.text(x, 22, title, 13, bold=True)
        for i in range(8):
            y, out = 50 + 22 * i, i in dropped[k]
            p.draw(
                "circle",
                cx=x - 90,
                cy=y,
                r=8,
                fill="#ffffff" if out else MAP[1],
                stroke=MAP[2],
                stroke_width=1.2,
            )
            if out:
                p.draw(
                    "path",
                    d="M-5 -5L5 5M-5 5L5 -5",
                    transform=f"translate({x - 90} {y})",
                    stroke=ROLES["add"][2],
                    stroke_width=2,
                )
            else:
                p.line(
                    (x - 82, y),
                    (x + 62, 127),
                    stroke=ROLES["conv"][2] if k < 2 else FAINT,
                    width=1.8 if k < 2 else 1.2,
                )
        p.draw(
            "circle", cx=x + 72, cy=127, r=12, fill=ROLES["linear"][1], stroke=INK, stroke_width=1.5
        )
        p.small(x, 238, "the others count twice" if k < 2 else "all count once")
    return p


@figure
def fig_03_vgg_window() -> Picture:
    p = Picture("What one output of two 3 × 3 convolutions depends on", 980, 260)
    _, fill, stroke = ROLES["conv"]
    square = [(a, b) for a in range(1, 6) for b in range(1, 6)]
    middle = [(a, b) for a in range(2, 5) for b in range(2, 5)]
    for x, inside, words in (
        (150, square, "input: 5 × 5 pixels"),
        (490, middle, "map between: 3 × 3"),
        (830, [(3, 3)], "one output"),
    ):
        grid(p, x, 120, 7, 26, inside, fill, stroke)
        p.small(x, 232, words)
    for x0, x1, side in ((150, 490, 65), (490, 830, 39)):
        p.line(
            (x0 + side, 120 - side),
            (x1 - (side - 26), 120 - (side - 26)),
            stroke=stroke,
            dashed=True,
        )
        p.line(
            (x0 + side, 120 + side),
            (x1 - (side - 26), 120 + (side - 26)),
            stroke=stroke,
            dashed=True,
        )
        p.small((x0 + x1) / 2, 16, "3 × 3 convolution")
    return p


def column(
    p: Picture, x: float, boxes: list, top: float = 60, step: float = 52, width: float = 150
) -> list[float]:
    """Boxes below one another with arrows between them; gives their heights."""
    at = [top + step * k for k in range(len(boxes))]
    for (role, words, small), y in zip(boxes, at, strict=True):
        p.box(role, x, y, width, 36, words, small)
    for upper, lower in zip(at, at[1:], strict=False):
        p.arrow((x, upper + 18), (x, lower - 18))
    return at


@figure
def fig_03_vgg_block() -> Picture:
    p = Picture("A stage of VGG: convolutions of 3 × 3, then a max-pool", 980, 150)
    x = 90
    p.slab(x, 75, 60, 12)
    p.small(x, 130, "C, H × W")
    for role, words, small, wide in (
        ("conv", "3 × 3", "batch norm, ReLU", 150),
        ("conv", "3 × 3", "batch norm, ReLU", 150),
        ("pool", "max-pool", "2 × 2, stride 2", 150),
    ):
        x += 100
        p.arrow((x - 55, 75), (x - 10, 75))
        p.box(role, x + wide / 2 - 8, 75, wide, 44, words, small)
        x += wide - 20
    p.arrow((x + 12, 75), (x + 62, 75))
    p.slab(x + 95, 75, 30, 24)
    p.small(x + 95, 130, "2C, H/2 × W/2")
    p.key(620 - 520, 16, ["conv", "pool"])
    return p


@figure
def fig_04_googlenet_block() -> Picture:
    p = Picture(
        "The Inception block: four branches side by side, block 3a with its channels", 980, 380
    )
    p.slab(490, 40, 40, 16)
    p.note(540, 40, "192 channels")
    branches = [
        [("pointwise", "1 × 1", "64")],
        [("pointwise", "1 × 1", "reduction: 96"), ("conv", "3 × 3", "128")],
        [("pointwise", "1 × 1", "reduction: 16"), ("conv", "5 × 5", "32")],
        [("pool", "3 × 3 max-pool", "stride 1"), ("pointwise", "1 × 1", "32")],
    ]
    for k, boxes in enumerate(branches):
        x = 140 + 233 * k
        top = 125 if len(boxes) == 2 else 165
        heights = column(p, x, boxes, top, 80, 150)
        p.arrow((490, 66), (490, 84), (x, 84), (x, heights[0] - 18))
        p.line((x, heights[-1] + 18), (x, 262), (490, 262))
    p.arrow((490, 262), (490, 288))
    p.box("join", 490, 306, 220, 36, "concatenate")
    p.arrow((490, 324), (490, 346))
    p.text(490, 360, "64 + 128 + 32 + 32 = 256 channels", 12)
    p.key(14, 360, ["conv", "pointwise", "pool"])
    return p


@figure
def fig_05_resnet_block() -> Picture:
    p = Picture("A plain block, and a residual block with its shortcut", 980, 360)
    boxes = [("conv", "3 × 3", "batch norm, ReLU"), ("conv", "3 × 3", "batch norm")]
    for x, title in ((270, "plain"), (690, "residual")):
        p.text(x, 22, title, 13, bold=True)
        p.text(x, 52, "x", 13)
        p.arrow((x, 62), (x, 92))
        column(p, x, boxes, 112, 80, 180)
        p.arrow((x, 210), (x, 250))
    p.text(270, 266, "ReLU", 12)
    p.arrow((270, 278), (270, 318))
    p.text(270, 334, "ReLU(F(x))", 13)
    p.circle("add", 690, 262)
    p.arrow((690, 74), (860, 74), (860, 262), (702, 262), stroke=ROLES["add"][2], width=2.5)
    p.note(868, 170, "shortcut")
    p.arrow((690, 273), (690, 318))
    p.text(690, 334, "ReLU(x + F(x))", 13)
    p.key(14, 346, ["conv", "add"])
    return p


@figure
def fig_05_resnet_option_a() -> Picture:
    p = Picture(
        "Option A of the shortcut: every second pixel, and channels of zeros on both sides",
        980,
        250,
    )
    kept = [(a, b) for a in range(0, 8, 2) for b in range(0, 8, 2)]
    grid(p, 130, 115, 8, 20, kept, ROLES["add"][1], ROLES["add"][2])
    p.small(130, 218, "one of 16 channels: 8 × 8, every second pixel is kept")
    p.arrow((240, 115), (300, 115))
    grid(
        p,
        370,
        115,
        4,
        20,
        [(a, b) for a in range(4) for b in range(4)],
        ROLES["add"][1],
        ROLES["add"][2],
    )
    p.small(370, 218, "4 × 4")
    p.arrow((440, 115), (500, 115))
    for k in range(32):
        ours = 8 <= k < 24
        fill, stroke = (ROLES["add"][1], ROLES["add"][2]) if ours else ("#ffffff", "#C9CDD0")
        p.rect(530 + 13 * k, 115, 10, 80, fill, stroke)
        if not ours:
            p.text(530 + 13 * k, 115, "0", 10, fill=FAINT)
    p.small(530 + 13 * 3.5, 175, "8 of zeros")
    p.small(530 + 13 * 15.5, 175, "16 channels of 4 × 4")
    p.small(530 + 13 * 27.5, 175, "8 of zeros")
    return p


@figure
def fig_06_resnext_block() -> Picture:
    p = Picture(
        "A ResNeXt block as many paths, and as one path with a grouped convolution", 980, 400
    )
    p.text(270, 22, "16 paths of 4 channels, added", 13, bold=True)
    p.text(750, 22, "the same as a grouped convolution", 13, bold=True)
    for x in (90, 210, 430):
        column(
            p,
            x,
            [
                ("pointwise", "1 × 1", "256 → 4"),
                ("conv", "3 × 3", "4 → 4"),
                ("pointwise", "1 × 1", "4 → 256"),
            ],
            112,
            62,
            104,
        )
        p.arrow((270, 52), (270, 72), (x, 72), (x, 94))
        p.line((x, 254), (x, 280), (270, 280))
    p.text(320, 174, "…", 20, bold=True)
    p.arrow((270, 280), (270, 306))
    p.circle("add", 270, 318)
    p.arrow((270, 60), (500, 60), (500, 318), (282, 318), stroke=ROLES["add"][2], width=2.2)
    p.arrow((270, 329), (270, 352))
    p.text(270, 44, "256 channels", 12)
    column(
        p,
        750,
        [
            ("pointwise", "1 × 1", "256 → 64"),
            ("conv", "3 × 3, 16 groups", "64 → 64"),
            ("pointwise", "1 × 1", "64 → 256"),
        ],
        112,
        62,
        170,
    )
    p.text(750, 44, "256 channels", 12)
    p.arrow((750, 56), (750, 94))
    p.arrow((750, 254), (750, 306))
    p.circle("add", 750, 318)
    p.arrow((750, 66), (890, 66), (890, 318), (762, 318), stroke=ROLES["add"][2], width=2.2)
    p.arrow((750, 329), (750, 352))
    for x in (270, 750):
        p.text(x, 364, "256 channels", 12)
    p.key(14, 388, ["conv", "pointwise", "add"])
    return p


@figure
def fig_07_densenet_block() -> Picture:
    p = Picture("A dense block of four layers: each reads the maps of all before it", 980, 330)
    colours = [
        MAP[1],
        ROLES["conv"][1],
        ROLES["depthwise"][1],
        ROLES["gate"][1],
        ROLES["shuffle"][1],
    ]
    wide = [24, 12, 12, 12, 12]
    for k in range(5):
        x = 90 + 210 * k
        left = x - sum(wide[: k + 1]) * 1.1 / 2
        for i in range(k + 1):
            w = wide[i] * 1.1
            p.rect(left + w / 2, 150, w, 120, colours[i], MAP[2])
            left += w
        p.small(x, 226, f"{sum(wide[: k + 1])} channels")
        p.small(x, 242, "the input" if k == 0 else f"+ 12 of layer {k}")
        if k < 4:
            p.box("pointwise", x + 105, 138, 56, 24, "1 × 1")
            p.box("conv", x + 105, 168, 56, 24, "3 × 3")
            p.text(x + 105, 110, f"layer {k + 1}", 11, bold=True)
            p.arrow((x + sum(wide[: k + 1]) * 0.55 + 2, 153), (x + 76, 153))
            p.arrow((x + 134, 153), (x + 210 - sum(wide[: k + 2]) * 0.55 - 2, 153))
    p.note(
        14,
        290,
        "A colour is a source. What a layer made is never changed again: it stands in every later concatenation.",
    )
    p.key(14, 314, ["pointwise", "conv"])
    p.line((14, 262), (966, 262), stroke=PALE)
    return p

"""The drawings of 08_senet."""

from collections.abc import Sequence

from drawing import ADD, CONV, END, FAINT, MAP, ROLES, Block, Picture, Row, main, strip

SE_BASIC = Block([["conv", "conv", "gate"]], shortcut="all")
ROWS = [
    Row(CONV, "stem", "3 × 3", stride=1, channels=64, side=32),
    Row(SE_BASIC, "stage 1", "3 × 3", blocks=2, stride=1, channels=64, side=32),
    Row(SE_BASIC, "stage 2", "3 × 3", blocks=2, stride=2, channels=128, side=16),
    Row(SE_BASIC, "stage 3", "3 × 3", blocks=2, stride=2, channels=256, side=8),
    Row(SE_BASIC, "stage 4", "3 × 3", blocks=2, stride=2, channels=512, side=4),
    *END,
]
GATE = ROLES["gate"]
SHADES = ("#C3C7CA", "#989EA3", "#DDE0E2", "#7A8187")
SHAPE = "[N, C, H, W]"


def draw_strip() -> Picture:
    return strip("SENet-18", ROWS, scale=3.4, thin=0.06)


def draw_block() -> Picture:
    p = Picture("A residual block with squeeze and excitation", 356)
    y = 98
    p.rect(638, 180, 462, 276, "#FEF6E3", GATE.stroke, rx=10, stroke_dasharray="5 4")
    p.text(420, 302, "squeeze and excitation", bold=True, anchor="start")
    draw_maps(p, 42, y, SHADES[::-1][:3])
    p.small(48, 144, "x\n" + SHAPE)
    p.arrow((72, y), (96, y))
    p.box("conv", 145, y, 98, 60, "3 × 3", "batch norm\nReLU")
    p.arrow((194, y), (214, y))
    p.box("conv", 260, y, 92, 60, "3 × 3", "batch norm")
    p.arrow((306, y), (325, y))
    draw_maps(p, 358, y, SHADES)
    p.small(364, 144, "u\n" + SHAPE)
    draw_gates(p, y, 228)
    p.arrow((388, y), (807, y))
    p.sign("gate", 818, y, "×")
    p.small(806, 70, "3 re-weighting:\neach map times its gate", "end")
    p.arrow((829, y), (885, y))
    p.sign("add", 896, y)
    p.arrow((60, y - 26), (60, 22), (896, 22), (896, y - 11), stroke=ADD.stroke)
    p.small(200, 38, "shortcut")
    p.small(898, 122, "ReLU")
    p.arrow((907, y), (932, y))
    draw_maps(p, 946, y, SHADES[::-1][:1])
    p.small(930, 144, SHAPE)
    words = "N images, C channels, maps of H × W pixels; r is the reduction ratio, 16 in the paper."
    p.note(14, 338, words)
    return p


def draw_maps(p: Picture, x: float, y: float, fills: Sequence[str]) -> None:
    """Maps behind one another, the last one in front."""
    for k, fill in enumerate(fills):
        p.rect(x + 6 * (1 - k), y - 6 * (1 - k), 38, 38, fill, MAP.stroke)


def draw_gates(p: Picture, top: float, y: float) -> None:
    """From the maps at the height `top` to a gate for each of them."""
    p.arrow((452, top), (452, y - 26))
    p.text(462, 148, "1 squeeze", bold=True, anchor="start")
    p.box("pool", 452, y, 76, 52, "mean of\neach map")
    p.arrow((490, y), (502, y))
    for k, fill in enumerate(SHADES):
        p.rect(526 + 12 * (k - 1.5), y, 10, 14, fill, MAP.stroke)
    p.small(526, 262, "z\n[N, C]")
    p.arrow((550, y), (564, y))
    p.text(648, 182, "2 excitation", bold=True)
    p.box("linear", 599, y, 70, 52, "linear", "ReLU")
    p.arrow((634, y), (680, y))
    p.small(658, 268, "[N, C/r]")
    p.box("linear", 717, y, 74, 52, "linear", "sigmoid")
    p.arrow((754, y), (789, y))
    for k, share in enumerate((0.9, 0.15, 0.6, 0.3)):
        x = 798 + 12 * k
        p.rect(x, y, 10, 30, "#ffffff", MAP.stroke)
        p.rect(x, y + 15 - 15 * share, 10, 30 * share, GATE.stroke)
    p.small(814, 272, "s: gates\nfrom 0 to 1\n[N, C]")
    p.arrow((818, y - 18), (818, top + 11))


def draw_where() -> Picture:
    p = Picture("Where squeeze and excitation stands in four blocks", 458)
    draw_basic(p, 104)
    draw_pre_activation(p, 324)
    draw_pre_activation_halving(p, 556)
    draw_inception(p, 850)
    p.key(14, 388, ("conv", "pointwise", "gate", "pool", "join", "add"), gap=14)
    words = (
        "With stride 2 the pre-activation block takes its shortcut behind the first batch norm"
        "\nand ReLU. In the Inception-style block each convolution has batch norm and ReLU."
    )
    p.note(14, 424, words)
    return p


def draw_head(p: Picture, x: float, words: str, below: str) -> None:
    p.text(x, 20, words, bold=True)
    p.small(x, 38, below, fill=FAINT)
    p.small(x, 58, SHAPE)


def draw_down(p: Picture, x: float, *pieces: tuple[float, float]) -> None:
    for start, end in pieces:
        p.arrow((x, start), (x, end))


def draw_shortcut(p: Picture, x: float, side: float, start: float, end: float) -> None:
    p.arrow((x, start), (side, start), (side, end), (x + 10, end), stroke=ADD.stroke)


def draw_basic(p: Picture, x: float) -> None:
    draw_head(p, x, "basic block", "ResNet, stride 1")
    draw_down(p, x, (66, 98), (138, 156), (196, 214), (238, 258), (278, 322))
    p.box("conv", x, 118, 128, 40, "3 × 3", "batch norm, ReLU")
    p.box("conv", x, 176, 128, 40, "3 × 3", "batch norm")
    p.box("gate", x, 226, 128, 24, "SE")
    draw_shortcut(p, x, x + 84, 80, 268)
    p.sign("add", x, 268)
    p.small(x + 8, 294, "ReLU", "start")
    p.small(x, 334, SHAPE)


def draw_pre_activation(p: Picture, x: float) -> None:
    draw_head(p, x, "pre-activation block", "stride 1")
    p.line((x, 66), (x, 92))
    p.small(x, 102, "batch norm, ReLU")
    draw_down(p, x, (110, 128), (174, 192), (220, 240), (264, 282), (302, 322))
    p.box("conv", x, 140, 128, 24, "3 × 3")
    p.line((x, 152), (x, 158))
    p.small(x, 167, "batch norm, ReLU")
    p.box("conv", x, 206, 128, 28, "3 × 3")
    p.box("gate", x, 252, 128, 24, "SE")
    draw_shortcut(p, x, x + 84, 80, 292)
    p.sign("add", x, 292)
    p.small(x, 334, SHAPE)


def draw_pre_activation_halving(p: Picture, x: float) -> None:
    draw_head(p, x, "pre-activation block", "stride 2")
    p.line((x, 66), (x, 92))
    p.small(x, 102, "batch norm, ReLU")
    draw_down(p, x, (110, 148), (194, 212), (240, 260), (284, 302), (322, 342))
    p.box("conv", x, 160, 116, 24, "3 × 3, stride 2")
    p.line((x, 172), (x, 178))
    p.small(x, 187, "batch norm, ReLU")
    p.box("conv", x, 226, 116, 28, "3 × 3")
    p.box("gate", x, 272, 116, 24, "SE")
    draw_shortcut(p, x, x + 110, 122, 312)
    p.box("pointwise", x + 110, 226, 80, 40, "1 × 1", "stride 2")
    p.sign("add", x, 312)
    p.small(x, 354, "[N, D, H/2, W/2]")


def draw_inception(p: Picture, x: float) -> None:
    branches = [
        [("pointwise", "1 × 1")],
        [("pointwise", "1 × 1"), ("conv", "3 × 3")],
        [("pointwise", "1 × 1"), ("conv", "5 × 5")],
        [("pool", "pool"), ("pointwise", "1 × 1")],
    ]
    draw_head(p, x, "Inception-style block", "no shortcut")
    p.line((x, 66), (x, 80))
    for k, boxes in enumerate(branches):
        at = x + 58 * (k - 1.5)
        p.arrow((x, 80), (at, 80), (at, 140 if len(boxes) == 1 else 98))
        for (role, words), y in zip(boxes[::-1], (152, 110), strict=False):
            p.box(role, at, y, 51, 24, words)
        if len(boxes) == 2:
            p.arrow((at, 122), (at, 140))
        p.arrow((at, 164), (at, 192))
    p.box("join", x, 206, 226, 26, "concatenate the channels")
    draw_down(p, x, (219, 238), (262, 322))
    p.box("gate", x, 250, 128, 24, "SE")
    p.small(x, 334, "[N, D, H, W]")


DRAWINGS = {
    "08_senet_strip": draw_strip,
    "08_senet_block": draw_block,
    "08_senet_where": draw_where,
}

if __name__ == "__main__":
    main(DRAWINGS)

"""The drawings of 14_efficientnet."""

from collections.abc import Sequence

from drawing import (
    ADD,
    CONV,
    END,
    FAINT,
    MAP,
    POINTWISE,
    ROLES,
    RULE,
    Block,
    Picture,
    Row,
    main,
    strip,
)

MBCONV1 = Block([["depthwise", "gate", "pointwise"]])
MBCONV6 = Block([["pointwise", "depthwise", "gate", "pointwise"]], shortcut="later")
STAGES = [  # Table 1 of the paper: block, factor, kernel, channels, blocks
    (MBCONV1, 1, "3 × 3", 16, 1),
    (MBCONV6, 6, "3 × 3", 24, 2),
    (MBCONV6, 6, "5 × 5", 40, 2),
    (MBCONV6, 6, "3 × 3", 80, 3),
    (MBCONV6, 6, "5 × 5", 112, 3),
    (MBCONV6, 6, "5 × 5", 192, 4),
    (MBCONV6, 6, "3 × 3", 320, 1),
]
GATE = ROLES["gate"]
PIXEL = 40 / 6  # the side of a pixel of the pictures that go in


def efficientnet(strides: Sequence[int], sides: Sequence[int]) -> list[Row]:
    """B0 with these strides and sides of its maps, both from the stem to stage 8."""
    rows = [Row(CONV, "stem", "3 × 3", stride=strides[0], channels=32, side=sides[0])]
    for i, (block, factor, kernel, channels, blocks) in enumerate(STAGES, start=1):
        size = {"channels": channels, "side": sides[i]}
        rows.append(Row(block, f"stage {i + 1}", kernel, str(factor), blocks, strides[i], **size))
    head = Row(POINTWISE, "head", "1 × 1", stride=1, channels=1280, side=sides[-1])
    return [*rows, head, *END]


def draw_strip() -> Picture:
    rows = efficientnet((1, 1, 1, 2, 2, 1, 2, 1), (32, 32, 32, 16, 8, 8, 4, 4))
    return strip("EfficientNet-B0", rows, scale=1.6, thin=0.025)


def draw_mbconv() -> Picture:
    p = Picture("MBConv, the block of EfficientNet", 356)
    y, wide, narrow = 110, 110, 34
    steps = [
        (38, narrow, "pointwise", "1 × 1\nexpand", "batch norm, SiLU"),
        (192, wide, "depthwise", "k × k\ndepthwise", "stride s\nbatch norm, SiLU"),
        (348, wide, "gate", "squeeze and\nexcitation", ""),
        (504, wide, "pointwise", "1 × 1\nproject", "batch norm\nno activation"),
    ]
    for x, high, role, words, small in steps:
        p.tile("data", x, y, 12, high)
        p.arrow((x + 6, y), (x + 22, y))
        p.box(role, x + 77, y, 111, 86 if small else 60, words, small)
        p.arrow((x + 132, y), (x + 148, y))
    p.tile("data", 660, y, 12, narrow)
    for x, shape in (
        (50, "[N, C, H, W]"),
        (192, "[N, C × factor,\nH, W]"),
        (348, "[N, C × factor,\nH/s, W/s]"),
        (504, "[N, C × factor,\nH/s, W/s]"),
        (660, "[N, C′, H/s, W/s]"),
        (914, "[N, C′, H/s, W/s]"),
    ):
        p.small(x, 192, shape)
    p.arrow((666, y), (690, y))
    p.rect(752, y, 124, 62, "#ffffff", FAINT, rx=5, stroke_dasharray="2 3", stroke_width=1.5)
    p.small(752, y, "stochastic depth:\nin training it drops\nsome branches")
    p.arrow((814, y), (854, y))
    p.sign("add", 864, y)
    p.arrow((874, y), (914, y))
    p.tile("data", 922, y, 12, narrow)
    p.arrow((38, y - 17), (38, 22), (864, 22), (864, y - 10), stroke=ADD.stroke)
    p.text(449, 38, "shortcut, only where the stride s is 1 and C′ = C")
    draw_squeeze(p)
    words = (
        "The height of a grey slab shows its channels. The factor is 6; in stage 2 it is 1,"
        " without the expanding convolution. k is 3 or 5."
    )
    p.note(14, 340, words)
    return p


def draw_squeeze(p: Picture) -> None:
    """The box below: what squeeze and excitation does."""
    p.line((425, 140), (425, 234), stroke=GATE.stroke, dashed=True)
    p.rect(490, 275, 790, 82, "#FEF6E3", GATE.stroke, rx=10, stroke_dasharray="5 4")
    inside = [
        (180, "pool", "mean of\neach map", ""),
        (386, "linear", "1 × 1 (linear)", "SiLU"),
        (592, "linear", "1 × 1 (linear)", "sigmoid"),
        (798, "gate", "each map\ntimes its gate", ""),
    ]
    for x, role, words, small in inside:
        p.box(role, x, 275, 120, 52, words, small)
    for x, words in ((283, "C × factor"), (489, "C/4"), (695, "C × factor")):
        p.arrow((x - 43, 275), (x + 43, 275))
        p.small(x, 263, words)


def draw_scaling() -> Picture:
    title = "Ways to make EfficientNet-B0 larger: wider, deeper, a larger picture, all three"
    p = Picture(title, 304)
    ways = [
        ("B0", "the start", "cost 1", 1, 1, 1),
        ("wider", "channels × w", "cost × w²", 1.9, 1, 1),
        ("deeper", "layers × d", "cost × d", 1, 2, 1),
        ("larger picture", "side × r", "cost × r²", 1, 1, 1.8),
        ("all three", "a little of each", "cost × d · w² · r²", 1.25, 1.5, 1.25),
    ]
    for k, (title, words, cost, width, depth, resolution) in enumerate(ways):
        x = 98 + 196 * k
        side = 40 * resolution
        draw_input(p, x, 222, side)
        draw_stack(p, x, 222 - side - 16, width, depth)
        p.title(x, 240, title)
        p.text(x, 260, words)
        p.text(x, 280, cost, fill=FAINT)
        if k:
            p.line((x - 98, 14), (x - 98, 290), stroke=RULE)
    return p


def draw_input(p: Picture, x: float, bottom: float, side: float) -> None:
    """The picture that goes in; a larger one has more pixels, and is darker."""
    larger = side > 40
    fill, line = ("#AFB4B8", 2.5) if larger else (MAP.fill, 1)
    y = bottom - side / 2
    p.rect(x, y, side, side, fill, MAP.stroke, stroke_width=line)
    pixels = round(side / PIXEL)
    for k in range(1, pixels):
        at = side * (k / pixels - 0.5)
        p.line((x + at, y - side / 2), (x + at, y + side / 2), stroke="#ffffff", width=0.7)
        p.line((x - side / 2, y + at), (x + side / 2, y + at), stroke="#ffffff", width=0.7)


def draw_stack(p: Picture, x: float, y: float, width: float, depth: float) -> None:
    """Layers above one another from y upwards; what is new is dark."""
    _, fill, stroke = ROLES["conv"]
    for channels in (32, 46, 58, 76):
        twice = depth == 2 or (depth == 1.5 and channels in (46, 76))
        wide = channels * width
        p.rect(x, y, wide, 13, fill, stroke, rx=3, stroke_width=1.2)
        if width > 1:
            more = (wide - channels) / 2
            p.rect(x - (channels + more) / 2, y, more, 13, stroke, stroke)
            p.rect(x + (channels + more) / 2, y, more, 13, stroke, stroke)
        y -= 19
        if twice:
            p.rect(x, y, wide, 13, stroke, stroke, rx=3, stroke_width=1.2)
            y -= 19


DRAWINGS = {
    "14_efficientnet_strip": draw_strip,
    "14_efficientnet_mbconv": draw_mbconv,
    "14_efficientnet_scaling": draw_scaling,
}

if __name__ == "__main__":
    main(DRAWINGS)

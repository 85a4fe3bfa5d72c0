"""The drawings of 10_mobilenet_v2."""

from drawing import (
    ADD,
    CONV,
    END,
    FAINT,
    OUTSIDE,
    POINTWISE,
    ROLES,
    RULE,
    Block,
    Picture,
    Row,
    main,
    strip,
)

SEPARABLE = Block([["depthwise", "pointwise"]])
INVERTED = Block([["pointwise", "depthwise", "pointwise"]], shortcut="later")
ROWS = [
    Row(CONV, "stem", "3 × 3", stride=1, channels=32, side=32),
    Row(SEPARABLE, "stage 1", "3 × 3", "1", 1, 1, channels=16, side=32),
    Row(INVERTED, "stage 2", "3 × 3", "6", 2, 1, channels=24, side=32),
    Row(INVERTED, "stage 3", "3 × 3", "6", 3, 2, channels=32, side=16),
    Row(INVERTED, "stage 4", "3 × 3", "6", 4, 2, channels=64, side=8),
    Row(INVERTED, "stage 5", "3 × 3", "6", 3, 1, channels=96, side=8),
    Row(INVERTED, "stage 6", "3 × 3", "6", 3, 2, channels=160, side=4),
    Row(INVERTED, "stage 7", "3 × 3", "6", 1, 1, channels=320, side=4),
    Row(POINTWISE, "head", "1 × 1", stride=1, channels=1280, side=4),
    *END,
]
RESNET_STEPS = [
    ("pointwise", "1 × 1: squeeze", "batch norm, ReLU"),
    ("conv", "3 × 3: mix all channels", "batch norm, ReLU"),
    ("pointwise", "1 × 1: widen", "batch norm"),
]
MOBILENET_STEPS = [
    ("pointwise", "1 × 1: expand", "batch norm, ReLU6"),
    ("depthwise", "3 × 3 depthwise:\neach channel alone", "batch norm, ReLU6"),
    ("pointwise", "1 × 1: project", "batch norm, no ReLU:\nthe end is linear"),
]


def draw_strip() -> Picture:
    return strip("MobileNet v2", ROWS, scale=1.6, thin=0.025)


def draw_block() -> Picture:
    title = "The bottleneck of a ResNet beside the inverted residual of MobileNet v2"
    p = Picture(title, 444)
    p.title(188, 22, "ResNet: wide, narrow, wide")
    draw_hourglass(p, 180, (256, 64, 64, 256), RESNET_STEPS, "add, then ReLU")
    p.title(738, 22, "MobileNet v2: narrow, wide, narrow")
    draw_hourglass(p, 700, (24, 144, 144, 24), MOBILENET_STEPS, "add, no ReLU")
    p.line((520, 14), (520, 414), stroke=RULE)
    words = (
        "Widths are channels, on one scale. Orange is the shortcut: at the left between"
        " wide ends, at the right between narrow ends."
    )
    p.note(14, 432, words)
    return p


def draw_hourglass(
    p: Picture, x: float, channels: tuple[int, ...], steps: list[tuple[str, str, str]], end: str
) -> None:
    """Maps as wide as their channels, and the convolutions between them."""
    left = x - max(channels) / 2 - (20 if channels[0] > 200 else 38)
    corners = [(x - channels[0] / 2, 56), (left, 56), (left, 382), (x - 10, 382)]
    p.arrow(*corners, stroke=ADD.stroke)
    words_x = x + max(channels) / 2 + 14
    for k, width in enumerate(channels):
        y = 56 + 94 * k
        p.tile("data", x, y, width, 17)
        if width > 30:
            p.small(x, y, width)
        else:
            p.small(x + 18, y, width, "start")
        if k == 3:
            break
        role, words, small = steps[k]
        draw_funnel(p, role, x, y, width, channels[k + 1])
        lines, lines_below = words.count("\n") + 1, small.count("\n") + 1
        p.text(words_x, y + 47 - 7.5 * lines_below, words, bold=True, anchor="start")
        p.small(words_x, y + 48 + 8 * lines, small, "start")
    p.line((x, 346), (x, 372))
    p.sign("add", x, 382)
    p.text(x + 18, 382, end, anchor="start")
    p.arrow((x, 392), (x, 414))


def draw_funnel(p: Picture, role: str, x: float, y: float, before: float, after: float) -> None:
    """A convolution from a map at y to the next, as wide as they are."""
    _, fill, stroke = ROLES[role]
    upper = [(x - before / 2, y + 22), (x + before / 2, y + 22)]
    lower = [(x + after / 2, y + 72), (x - after / 2, y + 72)]
    p.polygon([*upper, *lower], fill, stroke, 1.5)
    p.line((x, y + 8), (x, y + 22))
    p.arrow((x, y + 72), (x, y + 85))


def draw_depthwise() -> Picture:
    title = "The weights of a full 3 × 3 convolution, and of a depthwise and a pointwise one"
    p = Picture(title, 372)
    draw_matrix(p, 64, "conv", "full: 3 × 3", "4 × 4 × 9 = 144 weights")
    p.note(12, 58, "output\nchannel")
    p.title(326, 184, "or")
    draw_matrix(p, 394, "depthwise", "depthwise: 3 × 3", "4 × 9 = 36 weights")
    p.title(644, 184, "then")
    draw_matrix(p, 710, "pointwise", "pointwise: 1 × 1", "4 × 4 = 16 weights")
    p.title(916, 184, "together\n52 weights")
    words = (
        "A square is a weight. The depthwise kernels look at their surroundings, each in one"
        " channel;\nthe pointwise ones mix the channels, each at one pixel."
    )
    p.note(14, 348, words)
    return p


def draw_matrix(p: Picture, x: float, role: str, title: str, count: str) -> None:
    """A row for each output channel, a column for each input channel; a square is a weight."""
    kernel, pitch, cell = (1, 34, 16) if role == "pointwise" else (3, 50, 13)
    y = 184 - 2 * pitch
    p.title(x + pitch * 2, 22, title)
    p.small(x + pitch * 2, 46, "input channel", fill=FAINT)
    p.text(x + pitch * 2, 310, count)
    for k in range(4):
        p.small(x + pitch * (k + 0.5), 66, k + 1, fill=FAINT)
        p.small(x - 8, y + pitch * (k + 0.5), k + 1, "end", FAINT)
        for j in range(4):
            at = x + pitch * (j + 0.5), y + pitch * (k + 0.5)
            if role == "depthwise" and j != k:
                side = cell * kernel
                p.rect(*at, side, side, stroke=OUTSIDE, stroke_dasharray="3 3")
            else:
                draw_kernel(p, role, *at, kernel, cell)


def draw_kernel(p: Picture, role: str, x: float, y: float, kernel: int, cell: float) -> None:
    for i in range(kernel**2):
        column, row = i % kernel - kernel // 2, i // kernel - kernel // 2
        p.tile(role, x + cell * column, y + cell * row, cell, cell)


DRAWINGS = {
    "10_mobilenet_v2_strip": draw_strip,
    "10_mobilenet_v2_block": draw_block,
    "10_mobilenet_v2_depthwise": draw_depthwise,
}

if __name__ == "__main__":
    main(DRAWINGS)

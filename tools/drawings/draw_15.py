"""The drawings of 15_efficientnet_mnist."""

from draw_14 import efficientnet
from drawing import FAINT, INK, OUTSIDE, ROLES, Picture, Row, main, strip

ENLARGE = Row(None, "enlarge", blocks=0, channels=1, side=48)


def draw_strip() -> Picture:
    rows = efficientnet((2, 1, 2, 2, 2, 1, 2, 1), (24, 24, 12, 6, 3, 3, 2, 2))
    name = "EfficientNet-B0 for digits"
    return strip(name, [ENLARGE, *rows], scale=1.5, thin=0.025, side=28, channels=1)


def draw_padding() -> Picture:
    title = "A kernel of 5 × 5 on maps of 1 × 1, 2 × 2 and 4 × 4: which of its weights meet the map"
    p = Picture(title, 424)
    for x, n in ((164, 1), (490, 2), (816, 4)):
        p.title(x, 20, f"map of {n} × {n}")
        draw_padded(p, x, 108, n)
        draw_weights(p, x, 272, n)
    words = (
        "Above: a map with its padding of zeros, and the kernel on the first pixel."
        " Below: the weights of the kernel,\nand"
        " for how many of the map's pixels each meets the map."
    )
    p.note(14, 398, words)
    return p


def draw_padded(p: Picture, x: float, y: float, n: int) -> None:
    """A map of n × n with two rows of zeros around it, and the kernel over its first pixel."""
    cell, size = 17, n + 4
    for i in range(size**2):
        column, row = i % size, i // size
        at = x + cell * (column - (size - 1) / 2), y + cell * (row - (size - 1) / 2)
        if 2 <= column < n + 2 and 2 <= row < n + 2:
            p.tile("data", *at, cell, cell, 0.8)
        else:
            p.rect(*at, cell, cell, "#ffffff", OUTSIDE, stroke_width=0.8)
            p.text(*at, "0", 12, fill=FAINT)
    corner = cell * (2.5 - size / 2)
    side = cell * 5
    stroke = ROLES["depthwise"].stroke
    p.rect(x + corner, y + corner, side, side, stroke=stroke, stroke_width=3)


def draw_weights(p: Picture, x: float, y: float, n: int) -> None:
    """The 25 weights, each with the number of pixels at which it meets the map."""
    _, light, dark = ROLES["depthwise"]
    along = [max(0, n - abs(offset)) for offset in range(-2, 3)]  # positions, along one side
    live = 0
    for i in range(25):
        times = along[i % 5] * along[i // 5]
        at = x + 26 * (i % 5 - 2), y + 26 * (i // 5 - 2)
        live += times > 0
        fill, stroke, ink = (light, dark, INK) if times else ("#ffffff", OUTSIDE, FAINT)
        p.rect(*at, 26, 26, fill, stroke)
        p.text(*at, times, fill=ink)
    words = f"{live} of 25 weights meet the map"
    if live == 1:
        words = "24 of 25 weights meet only zeros"
    p.text(x, y + 84, words, bold=True)


DRAWINGS = {
    "15_efficientnet_mnist_strip": draw_strip,
    "15_efficientnet_mnist_padding": draw_padding,
}

if __name__ == "__main__":
    main(DRAWINGS)

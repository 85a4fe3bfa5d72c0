"""The drawings of 07_densenet."""

from drawing import CONV, END, MAP, PALE, ROLES, Block, Picture, Row, main, strip

DENSE = Block([["pointwise", "conv"]])
TRANSITION = Block([["pointwise", "pool"]])
ROWS = [
    Row(CONV, "stem", "3 × 3", stride=1, channels=24, side=32),
    Row(DENSE, "block 1", "3 × 3", blocks=6, stride=1, channels=96, side=32),
    Row(TRANSITION, "transition", "2 × 2", stride=2, channels=48, side=16),
    Row(DENSE, "block 2", "3 × 3", blocks=6, stride=1, channels=120, side=16),
    Row(TRANSITION, "transition", "2 × 2", stride=2, channels=60, side=8),
    Row(DENSE, "block 3", "3 × 3", blocks=6, stride=1, channels=132, side=8),
    *END,
]
SOURCES = [  # a name, its channels, its colour
    ("the input", 24, MAP.fill),
    ("+ 12 of layer 1", 12, ROLES["conv"].fill),
    ("+ 12 of layer 2", 12, ROLES["depthwise"].fill),
    ("+ 12 of layer 3", 12, ROLES["gate"].fill),
    ("+ 12 of layer 4", 12, ROLES["shuffle"].fill),
]


def draw_strip() -> Picture:
    return strip("DenseNet-BC, L = 40, k = 12", ROWS, scale=2.3, thin=0.15)


def draw_block() -> Picture:
    p = Picture("A dense block of four layers: each reads the maps of all before it", 286)
    y = 90
    for k in range(5):
        x = 76 + 207 * k
        wide = draw_maps(p, x, y, SOURCES[: k + 1])
        p.text(x, y + 80, f"{sum(channels for _, channels, _ in SOURCES[: k + 1])} channels")
        p.text(x, y + 98, SOURCES[k][0])
        if k < 4:
            after = wide + SOURCES[k + 1][1] * 1.1
            p.text(x + 104, y - 46, f"layer {k + 1}", bold=True)
            p.box("pointwise", x + 104, y - 14, 58, 26, "1 × 1")
            p.box("conv", x + 104, y + 18, 58, 26, "3 × 3")
            p.arrow((x + wide / 2 + 2, y + 2), (x + 74, y + 2))
            p.arrow((x + 134, y + 2), (x + 207 - after / 2 - 2, y + 2))
    p.line((14, 210), (966, 210), stroke=PALE)
    words = (
        "A colour is a source. What a layer made is never changed again:"
        " it stands in every later concatenation."
    )
    p.note(14, 234, words)
    p.key(14, 264, ["pointwise", "conv"])
    return p


def draw_maps(p: Picture, x: float, y: float, sources: list[tuple[str, int, str]]) -> float:
    """Maps side by side; gives their width."""
    total = sum(channels for _, channels, _ in sources) * 1.1
    left = x - total / 2
    for _, channels, fill in sources:
        wide = channels * 1.1
        p.rect(left + wide / 2, y, wide, 124, fill, MAP.stroke)
        left += wide
    return total


DRAWINGS = {"07_densenet_strip": draw_strip, "07_densenet_block": draw_block}

if __name__ == "__main__":
    main(DRAWINGS)

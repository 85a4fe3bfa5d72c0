"""The drawings of 01_lenet."""

from drawing import CONV, CONV_POOL, INK, LINEAR, ROLES, Picture, Row, main, strip

ROWS = [
    Row(CONV_POOL, "C1, S2", "5 × 5", channels=6, side=14),
    Row(CONV_POOL, "C3, S4", "5 × 5", channels=16, side=5),
    Row(CONV, "C5", "5 × 5", channels=120, side=1),
    Row(LINEAR, "F6", channels=84, side=1),
    Row(LINEAR, "output", channels=10),
]


def draw_strip() -> Picture:
    return strip("LeNet-5", ROWS, scale=4.2, thin=0.5)


def draw_sharing() -> Picture:
    title = "A dense layer and a convolution: weights of one output, and of all outputs of a map"
    p = Picture(title, 304)
    draw_dense(p)
    draw_convolution(p)
    words = (
        "Only some lines are drawn. The same window of weights slides over the picture,"
        " and finds the same thing everywhere."
    )
    p.note(14, 288, words)
    return p


def draw_dense(p: Picture) -> None:
    p.text(240, 22, "dense: each output has weights of its own for all pixels", bold=True)
    p.grid(120, 150, 8, 22)
    for role, y in (("conv", 80), ("gate", 150), ("add", 220)):
        for row in range(8):
            start = 208, 150 + 22 * (row - 3.5)
            p.line(start, (380, y), stroke=ROLES[role].stroke, width=0.9)
        p.circle(388, y, 9, "#ffffff", stroke=INK, stroke_width=1.5)
    p.text(120, 257, "8 × 8 pixels")
    p.text(370, 257, "three outputs: 3 × 64 weights")


def draw_convolution(p: Picture) -> None:
    p.text(735, 22, "convolution: all outputs of a map share 25 weights", bold=True)
    p.grid(610, 150, 8, 22)
    places = ((0, 0), (3, 1), (1, 3))
    p.grid(860, 150, 4, 22, places)
    stroke = ROLES["conv"].stroke
    for k, (column, row) in enumerate(places):
        x, y = 610 + 22 * (column - 1.5), 150 + 22 * (row - 1.5)
        p.rect(x, y, 110, 110, stroke=stroke, stroke_width=2.2)
        output = 860 + 22 * (column - 1.5), 150 + 22 * (row - 1.5)
        p.line((x + 55, y - 55 + 14 * k), output, stroke=stroke, dashed=True)
    p.text(610, 257, "8 × 8 pixels, windows of 5 × 5")
    p.text(860, 224, "a map of 4 × 4:\n16 outputs, 25 weights")


DRAWINGS = {"01_lenet_strip": draw_strip, "01_lenet_sharing": draw_sharing}

if __name__ == "__main__":
    main(DRAWINGS)

"""The drawings of 02_alexnet."""

from drawing import (
    ADD,
    CONV,
    CONV_POOL,
    FAINT,
    INK,
    LINEAR,
    MAP,
    ROLES,
    SCORES,
    Picture,
    Row,
    main,
    strip,
)

ROWS = [
    Row(CONV_POOL, "conv 1", "5 × 5", stride=2, channels=64, side=15),
    Row(CONV_POOL, "conv 2", "5 × 5", stride=2, channels=192, side=7),
    Row(CONV, "conv 3", "3 × 3", stride=1, channels=384, side=7),
    Row(CONV, "conv 4", "3 × 3", stride=1, channels=256, side=7),
    Row(CONV_POOL, "conv 5", "3 × 3", stride=2, channels=256, side=3),
    Row(LINEAR, "linear 1", channels=1024, side=1),
    Row(LINEAR, "linear 2", channels=1024, side=1),
    SCORES,
]
DROPPED = [("training, one step", (1, 4, 6, 7)), ("training, the next step", (0, 2, 3, 6))]


def draw_strip() -> Picture:
    return strip("AlexNet", ROWS, scale=3.2, thin=0.08)


def draw_dropout() -> Picture:
    p = Picture("A neuron and its eight inputs, in training with dropout and in testing", 260)
    for k, (title, dropped) in enumerate([*DROPPED, ("testing", ())]):
        x = 170 + 320 * k
        p.title(x, 22, title)
        draw_neuron(p, x, dropped)
        p.text(x, 244, "the others count twice" if dropped else "all count once")
    return p


def draw_neuron(p: Picture, x: float, dropped: tuple[int, ...]) -> None:
    stroke, width = (ROLES["conv"].stroke, 1.8) if dropped else (FAINT, 1.2)
    for i in range(8):
        y = 52 + 22 * i
        out = i in dropped
        fill = "#ffffff" if out else MAP.fill
        p.circle(x - 90, y, 8, fill, stroke=MAP.stroke, stroke_width=1.2)
        if out:
            at = f"translate({x - 90} {y})"
            cross = {"stroke": ADD.stroke, "stroke_width": 2}
            p.draw("path", d="M-5 -5L5 5M-5 5L5 -5", transform=at, **cross)
        else:
            p.line((x - 82, y), (x + 62, 129), stroke=stroke, width=width)
    p.circle(x + 72, 129, 12, "#ffffff", stroke=INK, stroke_width=1.5)


LENET = [  # None is a place that stays empty
    ("conv", "5 × 5", "6"),
    ("pool", "2 × 2", ""),
    ("conv", "5 × 5", "16"),
    ("pool", "2 × 2", ""),
    ("conv", "5 × 5", "120"),
    None,
    None,
    None,
    ("linear", "linear", "84"),
    None,
    ("linear", "output", "10"),
]
ALEXNET = [
    ("conv", "11 × 11", "96"),
    ("pool", "3 × 3", ""),
    ("conv", "5 × 5", "256"),
    ("pool", "3 × 3", ""),
    ("conv", "3 × 3", "384"),
    ("conv", "3 × 3", "384"),
    ("conv", "3 × 3", "256"),
    ("pool", "3 × 3", ""),
    ("linear", "linear", "4,096"),
    ("linear", "linear", "4,096"),
    ("linear", "linear", "1,000"),
]


def draw_beside() -> Picture:
    p = Picture("LeNet-5 of 1998 and AlexNet of 2012, layer by layer", 290)
    draw_row(p, 70, "LeNet-5, 1998: 60,000 weights", LENET)
    draw_row(p, 180, "AlexNet, 2012: 60,965,224 weights", ALEXNET)
    p.key(14, 246, ["conv", "pool", "linear"])
    p.note(14, 272, "Each box: the window, and how many maps or numbers come out, by the papers.")
    return p


def draw_row(p: Picture, y: float, title: str, layers: list[tuple[str, str, str] | None]) -> None:
    p.text(14, y - 42, title, 14, bold=True, anchor="start")
    end = 14.0
    for place, layer in enumerate(layers):
        x = 52 + 87.5 * place
        if layer is None:
            continue
        if place:
            p.arrow((end, y), (x - 36, y))
        p.box(layer[0], x, y, 72, 44, layer[1], layer[2])
        end = x + 36


DRAWINGS = {
    "02_alexnet_strip": draw_strip,
    "02_alexnet_dropout": draw_dropout,
    "02_alexnet_beside": draw_beside,
}

if __name__ == "__main__":
    main(DRAWINGS)

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
    Row(CONV_POOL, "conv 1", "5 × 5", stride=1, channels=64, side=15),
    Row(CONV_POOL, "conv 2", "5 × 5", stride=1, channels=192, side=7),
    Row(CONV, "conv 3", "3 × 3", stride=1, channels=384, side=7),
    Row(CONV, "conv 4", "3 × 3", stride=1, channels=256, side=7),
    Row(CONV_POOL, "conv 5", "3 × 3", stride=1, channels=256, side=3),
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


DRAWINGS = {"02_alexnet_strip": draw_strip, "02_alexnet_dropout": draw_dropout}

if __name__ == "__main__":
    main(DRAWINGS)

"""Every figure of the course, from plain arrays, lists and images.

Each function draws one figure and shows it. An image is a PIL image or uint8 [H, W, C] or [C, H, W] with C = 1 or 3;
images are a list of them or one array [N, ...]. Labels are integers [N] that count from 0, probabilities float [N, K],
one column for each of the classes' names. Any array may be a list, or a tensor on the CPU.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython import display
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike as Array
from PIL import Image

# Colours that colour-blind readers tell apart (Okabe and Ito, 2008), without their yellow, too pale on white.
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, "#CC79A7", "#56B4E9", "#000000")
RIGHT, WRONG = (
    "#007A59",
    "#BA4A00",
)  # their green and vermillion, darker: small text must be easy to read
INK, FAINT = "#262626", "#A9B7C0"

DPI = 100  # a pixel of a figure in a notebook is 1/100 inch
STYLE = {"figure.dpi": DPI, "font.size": 9, "lines.markersize": 4}
STYLE |= dict.fromkeys(("figure.facecolor", "axes.facecolor"), "white")  # in a dark theme too
STYLE |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
STYLE |= dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False)
STYLE |= {
    "axes.edgecolor": "#8C8C8C",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
}
STYLE |= {"figure.constrained_layout.use": True, "figure.constrained_layout.wspace": 0.06}
STYLE |= {"text.parse_math": False}  # a class may be called "$5"

OneImage = Image.Image | Array
Images = Sequence[OneImage] | Array
Names = Sequence[str]
Series = Mapping[str, Array]  # the numbers of each, by its name


class PlotError(ValueError):
    """What cannot be drawn; the message is one sentence that says what to do."""


@contextmanager
def _figure() -> Iterator[None]:
    """Above a function: it draws in STYLE, and then its figure is shown, in a notebook images as a small JPEG."""
    fonts = [
        "DejaVu Sans",
        *plt.rcParams["font.family"],
    ]  # the first has ✓ and ✗, then come the reader's own
    with plt.rc_context(STYLE | {"font.family": fonts}):
        yield
        figure, data = plt.gcf(), BytesIO()
        if "inline" in plt.get_backend() and any(axes.images for axes in figure.axes):
            quality = {"quality": 75, "optimize": True}
            figure.savefig(
                data, format="jpeg", bbox_inches="tight", pad_inches=0.05, pil_kwargs=quality
            )
            plt.close(figure)
            display.display(display.Image(data.getvalue(), format="jpeg"))
        else:
            plt.show()


@_figure()
def image_grid(
    images: Images, captions: Names = (), columns: int = 8, row_names: Names = ()
) -> None:
    """Images in rows of at most `columns`, enlarged without smoothing; None leaves a place empty.

    Captions stand below, row names at the left. A caption that begins with ✓ or ✗ comes in colour, with a frame.
    """
    rows = max(1, -(-len(images) // columns))  # rounded up
    columns = max(1, -(-len(images) // rows))  # 10 images become two rows of 5, and not 8 and 2
    pixels = [None if image is None else _pixels(image) for image in images]
    gap, below = (8, 14 * (1 + max(text.count("\n") for text in captions))) if captions else (4, 0)
    left = 8 * max(map(len, row_names)) + 10 if row_names else 0
    # Enlarged a whole number of times if there is room, so that the images' pixels come out even.
    room = min(128, (980 - left) // columns - gap)
    longest = max((max(p.shape[:2]) for p in pixels if p is not None), default=room)
    size = room // longest * longest or room
    wide, high = size + gap, size + gap + below
    width, height = max(left + columns * wide, 200), rows * high

    _, axes = plt.subplots(figsize=(width / DPI, height / DPI))
    axes.set_position((0, 0, 1, 1))  # the axes fill the figure; x goes right and y down, in pixels
    axes.set_axis_off()
    axes.text(0, 20, "" if pixels else "There are no images to show.")
    for row, name in enumerate(row_names):
        axes.text(left - 8, row * high + size / 2, name, ha="right", va="center", fontsize=10)
    for i, image in enumerate(pixels):
        x, y = (
            left + i % columns * wide + size / 2,
            i // columns * high + size / 2,
        )  # the image's middle
        if image is not None:
            dy, dx = (length * size / max(image.shape[:2]) / 2 for length in image.shape[:2])
            smooth = (
                None if max(image.shape) > size else "nearest"
            )  # None: matplotlib smooths what shrinks
            axes.imshow(image, extent=(x - dx, x + dx, y + dy, y - dy), interpolation=smooth)
        if captions:
            letters = int(wide / 6.4)  # in a line: one is about 6.4 pixels wide
            cut = [
                s if len(s) <= letters else s[: letters - 1] + "…" for s in captions[i].split("\n")
            ]
            colour = {"✓": RIGHT, "✗": WRONG}.get(captions[i][:1], INK)
            place = {"ha": "center", "va": "top", "fontsize": 8, "color": colour}
            axes.text(x, y + size / 2 + 4, "\n".join(cut), **place)
            if colour != INK:
                look = {"fill": False, "edgecolor": colour, "linewidth": 2.5, "clip_on": False}
                axes.add_patch(plt.Rectangle((x - size / 2, y - size / 2), size, size, **look))
    axes.set(xlim=(0, width), ylim=(height, 0), aspect="auto")


def classes_grid(images: Images, labels: Array, classes: Names, per_class: int = 8) -> None:
    """The first `per_class` images of each class, a row a class."""
    rows = [np.flatnonzero(np.asarray(labels) == k)[:per_class] for k in range(len(classes))]
    cells = [images[row[i]] if i < len(row) else None for row in rows for i in range(per_class)]
    names = [
        name if len(row) else f"{name} (no images)" for name, row in zip(classes, rows, strict=True)
    ]
    image_grid(cells, columns=per_class, row_names=names)


def predictions(
    images: Images, labels: Array, probabilities: Array, classes: Names, count: int = 24
) -> None:
    """The first `count` images with the predicted class: a green tick, or a red cross and the true class."""
    shown = range(min(count, len(images)))
    captions = [
        _answer(probabilities[i], classes[labels[i]], classes, percent=False) for i in shown
    ]
    image_grid(images[:count], captions)


def mistakes(
    images: Images, labels: Array, probabilities: Array, classes: Names, indices: Array
) -> None:
    """The images at `indices` (integers [M]), with predicted class, its probability, and the true class."""
    captions = [_answer(probabilities[i], classes[labels[i]], classes) for i in indices]
    image_grid([images[i] for i in indices], captions, columns=6)


def gallery(images: Images, probabilities: Array, classes: Names, names: Names) -> None:
    """Images with predicted class and probability, and how many are right as far as their files' names tell.

    "My dog 2.jpg" says that the class is dog; a name that says no class stands below its image.
    """
    if not len(images):
        raise PlotError(
            "There are no images to show: put JPEG, PNG, WebP, GIF or BMP files into the folder."
        )
    captions = []
    for name, row in zip(names, probabilities, strict=True):
        truth = _class_in(name, classes)
        short = name if len(name) <= 18 else f"…{name[-17:]}"
        captions.append(_answer(row, truth, classes) + ("" if truth else f"\n{short}"))
    image_grid(images, captions, columns=6)
    right, wrong = (sum(caption.startswith(mark) for caption in captions) for mark in "✓✗")
    if right + wrong:
        print(f"{right} of {right + wrong} right")


@_figure()
def prediction(
    image: OneImage, seen: OneImage, classes: Names, probabilities: Array, top: int = 10
) -> None:
    """An image, what the network sees of it, and the `top` likeliest classes; probabilities: float [K]."""
    likeliest = np.argsort(-np.asarray(probabilities), kind="stable")[:top]
    percent = 100 * np.asarray(probabilities)[likeliest]
    _, (left, middle, right) = plt.subplots(1, 3, figsize=(9, 2.6), width_ratios=(1.15, 1, 1.4))
    for axes, shown, name in ((left, image, "the image"), (middle, seen, "what the network sees")):
        pixels = _pixels(shown)
        axes.imshow(pixels)
        axes.grid(False)
        axes.set(xticks=[], yticks=[], xlabel=f"{name}, {pixels.shape[1]} × {pixels.shape[0]}")
        axes.spines[:].set_visible(False)
    drawn = right.barh(range(len(percent)), percent, color=[BLUE] + [FAINT] * (len(percent) - 1))
    right.bar_label(drawn, [f"{p:.1f}" for p in percent], padding=3)
    _name_rows(right, [classes[k] for k in likeliest])
    right.set(xlim=(0, 112), xticks=range(0, 101, 25), xlabel="probability, %")


@_figure()
def curves(history: Any) -> None:
    """Accuracy, loss and learning rate against the epoch; history: what `train` returns, or anything with its lists.

    A dotted line is where the images became larger: the epochs before it are trained and tested at the smaller size.
    """
    epochs = len(history.train_loss)
    if not epochs:
        raise PlotError("There is no epoch to show yet: train the network first.")
    x, rates = (
        np.arange(1, epochs + 1),
        np.hstack([*history.learning_rates, []]),
    )  # one rate a step, or none
    figure, (accuracy, loss, rate) = plt.subplots(1, 3, figsize=(9.8, 3.2))
    train, test = "train (mean over the epoch, augmented)", "test (after the epoch)"
    _draw_line(accuracy, x, 100 * np.array(history.train_accuracy, float), train, 0)
    _draw_line(accuracy, x, 100 * np.array(history.test_accuracy, float), test, 1)
    _draw_line(loss, x, history.train_loss, train, 0)
    _draw_line(loss, x, history.test_loss, test, 1)
    if len(rates):
        _draw_line(rate, np.arange(1, len(rates) + 1) * epochs / len(rates), rates, "", 2)
    else:
        _draw_line(rate, x, history.learning_rate, "", 2)
    for axes, label in ((accuracy, "accuracy, %"), (loss, "loss"), (rate, "learning rate")):
        axes.set(xlabel="epoch", xlim=(0, epochs + 0.5), ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    heights = list(getattr(history, "height", []))
    for after in (i for i in range(1, len(heights)) if heights[i] != heights[i - 1]):
        for axes, x in (
            (accuracy, after + 0.5),
            (loss, after + 0.5),
            (rate, after),
        ):  # between two points, or steps
            axes.axvline(x, color=FAINT, linestyle=":", zorder=1)
        sizes = f"{heights[after - 1]} px  {heights[after]} px"  # one text, its middle on the line
        rate.text(after, 1.02, sizes, ha="center", fontsize=8, transform=rate.get_xaxis_transform())
    figure.legend(*accuracy.get_legend_handles_labels(), loc="outside upper left", ncols=2)


@_figure()
def class_accuracy(accuracies: Array, classes: Names, overall: float | None = None) -> None:
    """A bar for each class, from fractions [K] (nan: no images); overall: a fraction, drawn as a line."""
    percent = 100 * np.array(accuracies)
    figure, axes = plt.subplots(figsize=(7.5, 0.8 + 0.26 * len(classes)))
    drawn = axes.barh(range(len(classes)), np.nan_to_num(percent), height=0.7, color=BLUE)
    texts = ["no images" if np.isnan(p) else f"{p:.1f}" for p in percent]
    box = {
        "facecolor": "white",
        "edgecolor": "none",
        "pad": 1,
    }  # so that the line does not cross the numbers
    axes.bar_label(drawn, texts, padding=4, bbox=box, zorder=3)
    if overall is not None:
        label = f"all classes: {100 * overall:.1f} %"
        axes.axvline(100 * overall, color=VERMILLION, linestyle="--", label=label, zorder=2)
        figure.legend(loc="outside upper right")
    _name_rows(axes, classes)
    axes.set(xlim=(0, 108), xticks=range(0, 101, 20), xlabel="accuracy, %")


@_figure()
def confusion(matrix: Array, classes: Names) -> None:
    """A confusion matrix, counts [K, K]: shades, and up to 20 classes numbers, are shares of the row in percent."""
    k, counts = len(classes), np.asarray(matrix)
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    side = min(8.5, 2 + 0.45 * k)
    _, axes = plt.subplots(figsize=(side, 0.9 * side))
    edges = np.arange(k + 1) - 0.5
    # The square root of the share: the mistakes, a few percent each, would be invisible beside the diagonal.
    axes.pcolormesh(edges, edges, np.sqrt(shares), cmap="Blues", vmin=0, vmax=1, edgecolors="white")
    for i, j in np.argwhere(counts) if k <= 20 else ():
        colour = "white" if shares[i, j] > 0.45 else INK
        axes.text(
            j, i, f"{100 * shares[i, j]:.1f}", ha="center", va="center", fontsize=8, color=colour
        )
    names = [
        name if total else f"{name} (no images)"
        for name, total in zip(classes, totals, strict=True)
    ]
    axes.set_xticks(range(k), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(k), names)
    axes.set(xlabel="predicted class", ylabel="true class", ylim=(k - 0.5, -0.5), aspect="equal")
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)


@_figure()
def bars(names: Names, values: Array, label: str) -> None:
    """A bar with its value for each name; values: numbers [N]."""
    _, axes = plt.subplots(figsize=(8, 0.7 + 0.25 * len(names)))
    drawn = axes.barh(range(len(names)), np.asarray(values), color=BLUE)
    texts = [
        f"{v:,.0f}" if abs(v) >= 100 else f"{v:.3g}" for v in drawn.datavalues
    ]  # 0.457, 11,263
    axes.bar_label(drawn, texts, padding=3, fontsize=8)
    _name_rows(axes, names)
    axes.margins(x=0.08)
    _number_axis(axes.xaxis, label)


@_figure()
def lines(
    x: Array | Series, series: Series, x_label: str, y_label: str, log_y: bool = False
) -> None:
    """A line for each series [N] against x [N], or against x[name] where x holds one list for each series."""
    figure, axes = plt.subplots(figsize=(9, 3.6))
    for i, (name, y) in enumerate(series.items()):
        _draw_line(axes, x[name] if isinstance(x, Mapping) else x, y, name, i)
    axes.xaxis.get_major_locator().set_params(integer=x_label == "epoch")  # no epoch 2.5
    _number_axis(axes.xaxis, x_label)
    _number_axis(axes.yaxis, y_label, log_y)
    if len(series) > 1:
        figure.legend(loc="outside right upper")


@_figure()
def dots(series: Series, label: str) -> None:
    """A row for each name with a dot for each of its numbers, and a line at their mean."""
    _, axes = plt.subplots(figsize=(7.5, 0.8 + 0.32 * len(series)))
    for row, numbers in enumerate(series.values()):
        axes.plot(
            numbers,
            [row] * len(numbers),
            "o",
            color=BLUE,
            alpha=0.7,
            markersize=7,
            markeredgecolor="white",
        )
        axes.plot([np.mean(numbers)] * 2, [row - 0.32, row + 0.32], color=VERMILLION, linewidth=1.8)
    _name_rows(axes, list(series))
    axes.margins(x=0.08)
    _number_axis(axes.xaxis, label)


@_figure()
def maps(layers: Series, count: int = 8) -> None:
    """The first `count` maps of each layer in a row, each from its smallest value, dark, to its largest, bright.

    layers: float [C, H, W] by name.
    """
    _, panels = plt.subplots(
        len(layers), count, figsize=(1.125 * count, 1.25 * len(layers)), squeeze=False
    )
    for row, (name, layer) in zip(panels, layers.items(), strict=True):
        row[0].set_title(name, loc="left", fontsize=9)
        for axes, shades in zip(row, layer, strict=False):
            axes.imshow(np.asarray(shades))
    for axes in panels.flat:
        axes.set_axis_off()


def _pixels(image: OneImage) -> np.ndarray:
    """An image as uint8 [H, W, 3]."""
    pixels = np.atleast_3d(image.convert("RGB") if isinstance(image, Image.Image) else image)
    if pixels.dtype != np.uint8:
        raise PlotError(
            f"Images must be uint8, 0 to 255, not {pixels.dtype}: undo the normalisation first."
        )
    if pixels.shape[2] not in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _answer(probabilities: Array, truth: str | None, classes: Names, percent: bool = True) -> str:
    """The caption of an answer; probabilities: float [K]; truth: the name of the true class, None if unknown."""
    guess = classes[np.argmax(probabilities)]
    answer = f"{guess} {100 * max(probabilities):.1f} %" if percent else guess
    marked = f"✓ {answer}" if guess == truth else f"✗ {answer}\ntrue: {truth}"
    return marked if truth else answer


def _class_in(name: str, classes: Names) -> str | None:
    """The class that a file's name says as a whole word ("CAT_01.JPG"); the longest if there are several."""
    words = {c: rf"(?<!\w){re.escape(c.replace('_', ' '))}(?!\w)" for c in classes}
    text = name.replace("_", " ")
    return max(
        (c for c in classes if re.search(words[c], text, re.IGNORECASE)), key=len, default=None
    )


def _draw_line(axes: Axes, x: Array, y: Array, label: str, i: int) -> None:
    """Draws line number i, no two alike up to 28; points get markers unless they would merge."""
    dashes = ("-", "--", ":", "-.")[i // len(COLOURS) % 4]
    few = len(y) <= 60
    look = {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": dashes,
        "linewidth": 1.8 if few else 1.2,
    }
    axes.plot(
        x,
        np.array(y, float),
        marker="os^Dv<>"[i % len(COLOURS)] if few else "",
        label=label,
        **look,
    )


def _name_rows(axes: Axes, names: Names) -> None:
    """Names the rows of a bar chart, the first at the top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")


def _number_axis(axis: Any, label: str, log: bool = False) -> None:
    """Names an axis and writes plain numbers along it: 0.1, 20, 3,000, 4 M."""
    axis.set_label_text(label)
    if log:
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda v, _: f"{v / 1e6:,.10g} M" if abs(v) >= 1e6 else f"{v:,.10g}")

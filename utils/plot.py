"""Every figure of the course, from plain arrays, lists and images.

Each function draws one figure and shows it, with a text for those who cannot see it. An image is
a PIL image or uint8 [H, W, C] or [C, H, W] with C = 1 or 3; images are a list of them or one array
[N, ...]. Labels are integers [N] that count from 0, probabilities float [N, K], one column for each
of the classes' names. Any array may be a list, or a tensor on the CPU.
"""

import math
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from IPython import display, get_ipython
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.path import Path
from matplotlib.text import Annotation
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import Bbox
from PIL import Image

# Colours that colour-blind readers tell apart (Okabe and Ito, 2008), without their yellow, which
# is too pale on white.
BLUE = "#0072B2"
VERMILLION = "#D55E00"
GREEN = "#009E73"
ORANGE = "#E69F00"
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, "#CC79A7", "#56B4E9", "#000000")
RIGHT = "#007A59"  # the green and the vermillion, darker: small text must be easy to read
WRONG = "#BA4A00"
INK = "#262626"
FAINT = "#A9B7C0"

DPI = 100  # a pixel of a figure in a notebook is 1/100 inch
STYLE: dict[str, Any] = {
    "figure.dpi": DPI,
    "savefig.dpi": "figure",
    "font.size": 9,
    "lines.markersize": 4,
    # Dark letters on white, in a dark theme too.
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.transparent": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": "#8C8C8C",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.wspace": 0.06,
    # A class may be called "$5" or "cup_of_coffee": no text is a formula.
    "text.parse_math": False,
    "text.usetex": False,
}

Array = Any  # whatever NumPy makes an array of: a list, an array, a tensor on the CPU
OneImage = Image.Image | Array
Images = Sequence[OneImage] | Array
Names = Sequence[str]
Series = Mapping[str, Array]  # the numbers of each, by its name


class PlotError(ValueError):
    """What cannot be drawn; the message is one sentence that says what to do."""


@contextmanager
def drawing(text: str) -> Iterator[None]:
    """Draw in STYLE inside this block, and show the figure at its end, without plt.show().

    text: what the figure shows, in a sentence or two, for those who cannot see it; in a notebook
    it is the alternative text of the picture. After an error no half-drawn figure stays open.
    """
    before = plt.get_fignums()
    # The first font has ✓ and ✗; then come the reader's own.
    fonts = ["DejaVu Sans", *plt.rcParams["font.family"]]
    with plt.rc_context(STYLE | {"font.family": fonts}):
        try:
            yield
            _show(_figures_since(before), text)
        except BaseException:  # the stop button's too
            for figure in _figures_since(before):
                plt.close(figure)
            raise


def image_grid(
    images: Images, captions: Names = (), columns: int = 8, row_names: Names = ()
) -> None:
    """Images in rows of at most `columns`, enlarged without smoothing; None leaves a place empty.

    Captions stand below, row names at the left. A caption that begins with ✓ or ✗ comes in colour,
    with a frame.
    """
    pixels = [None if image is None else _pixels(image) for image in images]
    count = sum(image is not None for image in pixels)
    with drawing(_about_grid(count, captions, row_names)):
        _draw_grid(pixels, captions, columns, row_names)


def classes_grid(images: Images, labels: Array, classes: Names, per_class: int = 8) -> None:
    """The first `per_class` images of each class, a row a class."""
    labels = np.asarray(labels)
    cells: list[OneImage | None] = []
    row_names = []
    for k, name in enumerate(classes):
        found = np.flatnonzero(labels == k)[:per_class]
        cells += [images[i] for i in found]
        cells += [None] * (per_class - len(found))
        row_names.append(name if len(found) else f"{name} (no images)")
    image_grid(cells, columns=per_class, row_names=row_names)


def predictions(
    images: Images, labels: Array, probabilities: Array, classes: Names, count: int = 24
) -> None:
    """The first `count` images with the predicted class.

    It comes with a green tick, or with a red cross and the true class.
    """
    captions = []
    for i in range(min(count, len(images))):
        truth = classes[labels[i]]
        captions.append(_answer(probabilities[i], truth, classes, percent=False))
    image_grid(images[:count], captions)


def mistakes(
    images: Images, labels: Array, probabilities: Array, classes: Names, indices: Array
) -> None:
    """The images at `indices` (integers [M]): predicted class, its probability, the true class."""
    captions = [_answer(probabilities[i], classes[labels[i]], classes) for i in indices]
    image_grid([images[i] for i in indices], captions, columns=6)


def gallery(images: Images, probabilities: Array, classes: Names, names: Names) -> None:
    """Images with predicted class and probability; how many are right, as far as their names tell.

    names: those of the images' files. "My dog 2.jpg" says that the class is dog; a name that says
    no class stands below its image.
    """
    if len(images) == 0:
        raise PlotError(
            "There are no images to show: put JPEG, PNG, WebP, GIF or BMP files into the folder."
        )
    captions = []
    for name, row in zip(names, probabilities, strict=True):
        truth = _class_in(name, classes)
        caption = _answer(row, truth, classes)
        if truth is None:
            short = name if len(name) <= 18 else f"…{name[-17:]}"
            caption = f"{caption}\n{short}"
        captions.append(caption)
    image_grid(images, captions, columns=6)
    right, wrong = _count_marks(captions)
    if right + wrong:
        print(f"{right} of {right + wrong} right")


def prediction(
    image: OneImage, seen: OneImage, classes: Names, probabilities: Array, top: int = 10
) -> None:
    """An image, what the network sees of it, and the `top` likeliest classes.

    probabilities: float [K].
    """
    given = _pixels(image)
    small = _pixels(seen)
    likeliest = np.argsort(-np.asarray(probabilities), kind="stable")[:top]
    names = [classes[k] for k in likeliest]
    percent = 100 * np.asarray(probabilities)[likeliest]
    numbers = [f"{value:.1f}" for value in percent]
    text = (
        f"An image of {_side_lengths(given)} pixels, what the network sees of it, "
        f"{_side_lengths(small)}, and bars of probability in %: {_pairs(names, numbers)}."
    )
    with drawing(text):
        _, panels = plt.subplots(1, 3, figsize=(9, 2.6), width_ratios=(1.15, 1, 1.4))
        left, middle, right = panels
        _draw_photograph(left, given, "the image")
        _draw_photograph(middle, small, "what the network sees")
        colours = [BLUE] + [FAINT] * (len(percent) - 1)
        bar_chart = right.barh(range(len(percent)), percent, color=colours)
        right.bar_label(bar_chart, numbers, padding=3)
        _name_rows(right, names)
        right.set(xlim=(0, 112), xticks=range(0, 101, 25), xlabel="probability, %")


def curves(history: Any) -> None:
    """Accuracy, loss and learning rate against the epoch.

    history: what `train` returns, or anything with its lists. A dotted line is where the images
    became larger: the epochs before it are trained and tested at the smaller size.
    """
    epochs = len(history.train_loss)
    if epochs == 0:
        raise PlotError("There is no epoch to show yet: train the network first.")
    train_percent = 100 * _floats(history.train_accuracy)
    test_percent = 100 * _floats(history.test_accuracy)
    train_loss = _floats(history.train_loss)
    test_loss = _floats(history.test_loss)
    rates = _rates(history)
    heights = list(getattr(history, "height", []))
    text = _about_curves(epochs, train_percent, test_percent, train_loss, test_loss, rates)
    if heights and heights[0] != heights[-1]:
        text += f" The images grow from {heights[0]} to {heights[-1]} pixels."
    with drawing(text):
        figure, (accuracy, loss, rate) = plt.subplots(1, 3, figsize=(9.8, 3.2))
        _draw_train_and_test(accuracy, train_percent, test_percent, "accuracy, %")
        _draw_train_and_test(loss, train_loss, test_loss, "loss")
        steps = np.arange(1, len(rates) + 1) * epochs / len(rates)  # where each ends, in epochs
        _draw_line(rate, steps, rates, "", 2)
        rate.set_ylabel("learning rate")
        for axes in (accuracy, loss, rate):
            axes.set(xlabel="epoch", xlim=(0, epochs + 0.5))
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        _mark_sizes(accuracy, loss, rate, heights)
        figure.legend(*accuracy.get_legend_handles_labels(), loc="outside upper left", ncols=2)


def class_accuracy(accuracies: Array, classes: Names, overall: float | None = None) -> None:
    """A bar for each class, from fractions [K] (nan: no images).

    overall: a fraction, drawn as a line.
    """
    percent = 100 * _floats(accuracies)
    numbers = ["no images" if np.isnan(value) else f"{value:.1f}" for value in percent]
    text = f"Bars, accuracy in %: {_pairs(classes, numbers)}."
    if overall is not None:
        text += f" All classes: {100 * overall:.1f}."
    with drawing(text):
        figure, axes = plt.subplots(figsize=(7.5, 0.8 + 0.26 * len(classes)))
        bar_chart = axes.barh(range(len(classes)), np.nan_to_num(percent), height=0.7, color=BLUE)
        # On white, so that the line does not cross the numbers.
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.bar_label(bar_chart, numbers, padding=4, bbox=box, zorder=3)
        if overall is not None:
            label = f"all classes: {100 * overall:.1f} %"
            axes.axvline(100 * overall, color=VERMILLION, linestyle="--", label=label, zorder=2)
            figure.legend(loc="outside upper right")
        _name_rows(axes, classes)
        axes.set(xlim=(0, 108), xticks=range(0, 101, 20), xlabel="accuracy, %")


def confusion(matrix: Array, classes: Names) -> None:
    """A confusion matrix, counts [K, K].

    Shades, and up to 20 classes numbers, are shares of the row in percent. Of more classes only as
    many are named as there is room for.
    """
    counts = np.asarray(matrix)
    k = len(classes)
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    side = min(8.5, 2 + 0.45 * k)
    with drawing(_about_confusion(counts, shares, classes)):
        figure, axes = plt.subplots(figsize=(side, 0.9 * side))
        edges = np.arange(k + 1) - 0.5
        # The root of the share: mistakes, a few percent each, would be invisible beside the
        # diagonal.
        shades = np.sqrt(shares)
        lines_between = "white" if k <= 40 else "none"  # white ones would cover small cells
        axes.pcolormesh(
            edges, edges, shades, cmap="Blues", vmin=0, vmax=1, edgecolors=lines_between
        )
        if k <= 20:
            _write_shares(axes, counts, shares)
        axes.set(xlabel="predicted class", ylabel="true class", ylim=(k - 0.5, -0.5))
        axes.set_aspect("equal")
        axes.tick_params(length=0)
        axes.grid(False)
        axes.spines[:].set_visible(False)
        _name_cells(figure, axes, classes, totals)


def bars(names: Names, values: Array, label: str) -> None:
    """A bar with its value for each name; values: numbers [N]."""
    values = _floats(values)
    numbers = [_short(value) for value in values]
    with drawing(f"Bars, {label}: {_pairs(names, numbers)}."):
        _, axes = plt.subplots(figsize=(8, 0.7 + 0.25 * len(names)))
        bar_chart = axes.barh(range(len(names)), values, color=BLUE)
        axes.bar_label(bar_chart, numbers, padding=3, fontsize=8)
        _name_rows(axes, names)
        axes.margins(x=0.08)
        _number_axis(axes.xaxis, label)


def lines(
    x: Array | Series, series: Series, x_label: str, y_label: str, log_y: bool = False
) -> None:
    """A line for each series [N] against x [N], or against x[name] if x holds a list for each."""
    parts = [f"{name} {_from_to(_floats(y), '.3g')}" for name, y in series.items()]
    with drawing(f"Lines, {y_label} against {x_label}: {_listed(parts)}."):
        figure, axes = plt.subplots(figsize=(9, 3.6))
        for i, (name, y) in enumerate(series.items()):
            along = x[name] if isinstance(x, Mapping) else x
            _draw_line(axes, along, _floats(y), name, i)
        if x_label.startswith("epoch"):  # no epoch 2.5
            axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
        _number_axis(axes.xaxis, x_label)
        _number_axis(axes.yaxis, y_label, log_y)
        if len(series) > 1:
            figure.legend(loc="outside right upper")


def dots(series: Series, label: str) -> None:
    """A row for each name with a dot for each of its numbers, and a line at their mean."""
    parts = []
    for name, numbers in series.items():
        low = _short(np.min(numbers))
        high = _short(np.max(numbers))
        parts.append(f"{name} {_short(np.mean(numbers))} ({low} to {high})")
    with drawing(f"Dots around their mean (lowest to highest), {label}: {_listed(parts)}."):
        _, axes = plt.subplots(figsize=(7.5, 0.8 + 0.32 * len(series)))
        look: dict[str, Any] = {
            "color": BLUE,
            "alpha": 0.7,
            "markersize": 7,
            "markeredgecolor": "white",
        }
        for row, numbers in enumerate(series.values()):
            axes.plot(numbers, [row] * len(numbers), "o", **look)
            mean = np.mean(numbers)
            axes.plot([mean, mean], [row - 0.32, row + 0.32], color=VERMILLION, linewidth=1.8)
        _name_rows(axes, list(series))
        axes.margins(x=0.08)
        _number_axis(axes.xaxis, label)


def spread(series: Series, label: str, centre: float = 1.0) -> None:
    """A row for each name: the median of its numbers as a point, their middle half as a bar.

    The first of the series is the twin of what all are compared with ("x, again"). A shaded band
    as wide as its middle half, on both sides of `centre`, is the noise: what lies inside it is no
    difference. centre: where equal things stand, 1 for ratios, 0 for differences.
    """
    if len(series) == 0:
        raise PlotError("There are no numbers to show: give at least those of the twin.")
    quartiles = [np.quantile(_floats(numbers), (0.25, 0.5, 0.75)) for numbers in series.values()]
    low, middle, high = np.transpose(quartiles)
    noise = max(centre - low[0], high[0] - centre)
    places = _decimals([*low, *high])
    numbers = [f"{m:.{places}f} ({a:.{places}f} to {b:.{places}f})" for a, m, b in quartiles]
    band = f"{centre - noise:.{places}f} to {centre + noise:.{places}f}"
    text = (
        f"Medians (middle half), {label}: {_pairs(list(series), numbers)}. "
        f"Within the noise: {band}."
    )
    with drawing(text):
        _, axes = plt.subplots(figsize=(7.5, 0.9 + 0.28 * len(series)))
        axes.axvspan(centre - noise, centre + noise, color=FAINT, alpha=0.4, linewidth=0)
        axes.axvline(centre, color=INK, linewidth=0.8)
        rows = range(len(series))
        reach = (middle - low, high - middle)
        axes.errorbar(middle, rows, xerr=reach, fmt="o", color=BLUE, markersize=5, capsize=4)
        beside = axes.get_yaxis_transform()  # x in widths of the axes, y in rows
        for row, number in enumerate(numbers):
            axes.text(1.02, row, number, va="center", fontsize=8, transform=beside)
        _name_rows(axes, list(series))
        axes.margins(x=0.08)
        _number_axis(axes.xaxis, label)


def frontier(names: Names, minutes: Array, percent: Array) -> None:
    """A point for each network: accuracy in percent [N] against minutes [N], its name beside it."""
    with drawing(frontier_text(names, minutes, percent)):
        _, axes = plt.subplots(figsize=(8.5, 5.5))
        draw_frontier(axes, names, minutes, percent)


def draw_frontier(axes: Axes, names: Names, minutes: Array, percent: Array) -> None:
    """Draws what `frontier` shows into these axes, whose figure has its final size.

    The same numbers give the same figure.
    """
    minutes = _floats(minutes)
    percent = _floats(percent)
    axes.plot(minutes, percent, "o", color=BLUE, markersize=5)
    axes.margins(x=0.1, y=0.1)
    label = "minutes of training and testing on two CPU cores, a logarithmic axis"
    _number_axis(axes.xaxis, label, log=True)
    _number_axis(axes.yaxis, "accuracy on the test set, %")
    _name_points(axes, names, np.column_stack([minutes, percent]))


def frontier_text(names: Names, minutes: Array, percent: Array) -> str:
    """What `frontier` shows, for those who cannot see it."""
    minutes = _floats(minutes)
    percent = _floats(percent)
    parts = []
    for i in np.argsort(-percent, kind="stable").tolist():
        parts.append(f"{names[i]} {percent[i]:.1f} % in {minutes[i]:.0f}")
    return f"Points, accuracy against minutes, from the best down: {_listed(parts)}."


def maps(layers: Series, count: int = 8) -> None:
    """The first `count` maps of each layer in a row, by the layer's name; layers: float [C, H, W].

    Each map goes from its smallest value, dark, to its largest, bright.
    """
    parts = []
    for name, layer in layers.items():
        channels, height, width = np.shape(layer)
        parts.append(f"{name} {min(count, channels)} of {channels}, {width} × {height}")
    size = (1.125 * count, 1.25 * len(layers))
    with drawing(f"Maps as pictures, a row a layer: {_listed(parts)}."):
        _, panels = plt.subplots(len(layers), count, figsize=size, squeeze=False)
        for row, (name, layer) in zip(panels, layers.items(), strict=True):
            row[0].set_title(name, loc="left", fontsize=9)
            for axes, shades in zip(row, layer, strict=False):
                axes.imshow(np.asarray(shades))
        for axes in panels.flat:
            axes.set_axis_off()


# Showing a figure


def _figures_since(before: Sequence[int]) -> list[Figure]:
    """The open figures whose numbers are not in `before`."""
    return [plt.figure(number) for number in plt.get_fignums() if number not in before]


def _show(figures: list[Figure], text: str) -> None:
    """Shows figures: in a notebook as pictures with this text, and elsewhere by plt.show()."""
    if not _in_a_notebook():
        plt.show()
        return
    for figure in figures:
        display.display(_picture(figure, text))
        plt.close(figure)  # an open one would be shown a second time


def _in_a_notebook() -> bool:
    """Whether figures go below the cell as pictures, rather than into windows of their own.

    MPLBACKEND=agg of a shell reaches the kernel, too, and there plt.show() would show nothing.
    """
    backend = plt.get_backend().lower()
    shell = get_ipython()
    return "inline" in backend or (backend == "agg" and hasattr(shell, "kernel"))


def _picture(figure: Figure, text: str) -> display.Image:
    """A figure as a picture with a text: with photographs a small JPEG, else a PNG."""
    data = BytesIO()
    if _has_photographs(figure):
        kind = "jpeg"
        small = {"quality": 75, "optimize": True}
        figure.savefig(data, format=kind, bbox_inches="tight", pad_inches=0.05, pil_kwargs=small)
    else:
        kind = "png"
        figure.savefig(data, format=kind, bbox_inches="tight", pad_inches=0.1)
    # In the metadata, and not as alt=..., which IPython knows only from version 8 on.
    return display.Image(data.getvalue(), format=kind, metadata={"alt": text})


def _has_photographs(figure: Figure) -> bool:
    """Whether there are images of bytes; maps of other numbers stay sharp, and small, as PNG."""
    for axes in figure.axes:
        for image in axes.images:
            if np.asarray(image.get_array()).dtype == np.uint8:
                return True
    return False


# Words and numbers


def _listed(parts: Sequence[str], room: int = 220) -> str:
    """Parts of a text with commas between them, as many as there is room for, in characters."""
    length = 0
    for count, part in enumerate(parts):
        length += len(part) + 2
        if length > room and count > 0:
            return f"{', '.join(parts[:count])} and {len(parts) - count} more"
    return ", ".join(parts)


def _pairs(names: Names, numbers: Sequence[str]) -> str:
    """Names with their numbers: "cat 91.2, dog 88.0"; of many, the first ones."""
    return _listed([f"{name} {number}" for name, number in zip(names, numbers, strict=True)])


def _counted(count: int, noun: str) -> str:
    """A count with its noun: "1 image", "2 images"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _short(value: Any) -> str:
    """A number with three digits, or with all before the point: 0.457, 11,263."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _decimals(values: Sequence[float]) -> int:
    """How many decimals show three digits of the largest of these values, and at most four."""
    largest = np.max(np.abs(values))
    if largest == 0:
        return 0
    return min(4, max(0, 2 - math.floor(math.log10(largest))))


def _from_to(values: np.ndarray, form: str) -> str:
    """From the first to the last of some numbers, without those that are nan."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return "unknown"
    if len(known) == 1:
        return f"{known[0]:{form}}"
    return f"from {known[0]:{form}} to {known[-1]:{form}}"


def _side_lengths(pixels: np.ndarray) -> str:
    """Width and height of an image [H, W, 3]: "640 × 480"."""
    height, width, _ = pixels.shape
    return f"{width} × {height}"


def _cut(text: str, letters: int) -> str:
    """A text that is too long without its end."""
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _count_marks(captions: Names) -> tuple[int, int]:
    """How many captions say that the answer is right, and how many that it is wrong."""
    right = sum(caption.startswith("✓") for caption in captions)
    wrong = sum(caption.startswith("✗") for caption in captions)
    return right, wrong


def _about_curves(
    epochs: int,
    train_percent: np.ndarray,
    test_percent: np.ndarray,
    train_loss: np.ndarray,
    test_loss: np.ndarray,
    rates: np.ndarray,
) -> str:
    """What the curves show: the first and the last value of each that is known."""
    parts = [f"training accuracy {_from_to(train_percent, '.1f')} %"]
    if np.isfinite(test_percent).any():
        parts.append(f"test accuracy {_from_to(test_percent, '.1f')} %")
    parts.append(f"training loss {_from_to(train_loss, '.3g')}")
    if np.isfinite(test_loss).any():
        parts.append(f"test loss {_from_to(test_loss, '.3g')}")
    parts.append(f"learning rate at most {np.nanmax(rates):.3g}")
    return f"Lines over {_counted(epochs, 'epoch')}: {'; '.join(parts)}."


def _about_grid(count: int, captions: Names, row_names: Names) -> str:
    """What a grid of so many images shows; the captions of right answers are only counted."""
    text = _counted(count, "image")
    right, wrong = _count_marks(captions)
    if right + wrong:
        text += f" with predicted classes, {right} right, {wrong} wrong"
    told = [caption for caption in captions if caption and not caption.startswith("✓")]
    told = [caption.removeprefix("✗ ").replace("\n", ", ") for caption in told]
    if not any(captions) and not row_names:
        text += " without captions"
    if told:
        text += f": {_listed([f'“{caption}”' for caption in told])}"
    if row_names:
        text += f" in rows: {_listed(row_names)}"
    return f"{text}."


def _about_confusion(counts: np.ndarray, shares: np.ndarray, classes: Names) -> str:
    """How many answers are right, and the three largest shares of one class taken for another."""
    images = counts.sum()
    wrong = shares * (1 - np.eye(len(classes)))
    parts = []
    for cell in np.argsort(-wrong, axis=None, kind="stable")[:3].tolist():
        true, predicted = divmod(cell, len(classes))
        if wrong[true, predicted] > 0:
            share = f"{100 * wrong[true, predicted]:.1f} %"
            parts.append(f"{share} of {classes[true]} as {classes[predicted]}")
    right = 100 * np.trace(counts) / max(images, 1)
    text = f"Confusion matrix of {len(classes)} classes, {right:.1f} % of {images:,} images right"
    return f"{text}. Most often mistaken: {_listed(parts)}." if parts else f"{text}."


def _answer(probabilities: Array, truth: str | None, classes: Names, percent: bool = True) -> str:
    """The caption of an answer; probabilities: float [K]; truth: the true class, if it is known."""
    guess = classes[int(np.argmax(probabilities))]
    answer = f"{guess} {100 * max(probabilities):.1f} %" if percent else guess
    if truth is None:
        return answer
    if guess == truth:
        return f"✓ {answer}"
    return f"✗ {answer}\ntrue: {truth}"


# Scripts that write no space between words: Thai to Burmese, Khmer, Chinese and Japanese; and
# Korean, which joins words.
UNSPACED = "\u0e00-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff"
LETTER = rf"[^\W\d_{UNSPACED}]"  # of all other scripts


def _class_in(name: str, classes: Names) -> str | None:
    """The class that a file's name says as a word ("CAT_01.JPG"); the longest of several."""
    text = _plain(name)
    found = [c for c in classes if re.search(_word_pattern(_plain(c)), text, re.IGNORECASE)]
    return max(found, key=len, default=None)


def _plain(name: str) -> str:
    """A name with spaces for underscores, and with each letter and its accent as one character."""
    return unicodedata.normalize("NFC", name).replace("_", " ")


def _word_pattern(word: str) -> str:
    """A regular expression for this word where no letter touches it."""
    return rf"(?<!{_no_neighbour(word[0])}){re.escape(word)}(?!{_no_neighbour(word[-1])})"


def _no_neighbour(end: str) -> str:
    """A regular expression for what cannot stand beside a word that ends with this character."""
    if end.isdigit():  # the class 7 is not in IMG_0007 or in a7
        return r"\w"
    if re.match(f"[{UNSPACED}]", end):
        return r"[^\s\S]"  # anything can stand there: nothing is forbidden
    return LETTER


def _floats(values: Array) -> np.ndarray:
    """Numbers as an array of floats; None becomes nan."""
    return np.array(values, float)


def _rates(history: Any) -> np.ndarray:
    """The learning rate of each step, as far as it is known, else of each epoch."""
    steps = [np.atleast_1d(_floats(rates)) for rates in history.learning_rates]
    return np.concatenate(steps) if steps else _floats(history.learning_rate)


# Parts of figures


def _pixels(image: OneImage) -> np.ndarray:
    """An image as uint8 [H, W, 3]."""
    plain: Array = image.convert("RGB") if isinstance(image, Image.Image) else image
    pixels = np.atleast_3d(plain)
    if pixels.dtype != np.uint8:
        raise PlotError(
            f"Images must be uint8, 0 to 255, not {pixels.dtype}: undo the normalisation first."
        )
    if pixels.shape[2] not in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _draw_grid(
    images: list[np.ndarray | None], captions: Names, columns: int, row_names: Names
) -> None:
    """A figure of images uint8 [H, W, 3]; all lengths are pixels of the figure."""
    rows = max(1, math.ceil(len(images) / columns))
    columns = max(1, math.ceil(len(images) / rows))  # 10 images: two rows of 5, and not 8 and 2
    gap = 8 if captions else 4
    text_lines = [1 + caption.count("\n") for caption in captions]
    below = 14 * max(text_lines, default=0)
    left = 10 + 8 * max(map(len, row_names)) if row_names else 0
    size = _enlarged(images, (980 - left) // columns - gap)
    wide = size + gap
    high = size + gap + below
    axes = _pixel_axes(max(left + columns * wide, 200), rows * high)
    if not images:
        axes.text(0, 20, "There are no images to show.")
    for row, name in enumerate(row_names):
        axes.text(left - 8, row * high + size / 2, name, ha="right", va="center", fontsize=10)
    for i, image in enumerate(images):
        row, column = divmod(i, columns)
        x = left + column * wide + size / 2  # the middle of the image
        y = row * high + size / 2
        if image is not None:
            _draw_image(axes, image, x, y, size)
        if captions:
            _draw_caption(axes, captions[i], x, y, size, letters=int(wide / 6.4))


def _enlarged(images: list[np.ndarray | None], room: int) -> int:
    """The side of the images in a figure, from the room for each.

    They are enlarged a whole number of times if there is room, so that their pixels come out even.
    """
    room = min(128, room)
    longest = max((max(image.shape[:2]) for image in images if image is not None), default=room)
    return room // longest * longest or room


def _pixel_axes(width: int, height: int) -> Axes:
    """Axes that fill a figure; x goes right and y down, in pixels."""
    _, axes = plt.subplots(figsize=(width / DPI, height / DPI))
    axes.set_position((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.autoscale(False)
    return axes


def _draw_image(axes: Axes, image: np.ndarray, x: float, y: float, size: float) -> None:
    """An image with its middle at x, y, its longer side of this size."""
    height, width, _ = image.shape
    dx = width * size / max(width, height) / 2
    dy = height * size / max(width, height) / 2
    # What shrinks is smoothed, as matplotlib does it by itself; what grows is not.
    smooth = None if max(width, height) > size else "nearest"
    extent = (x - dx, x + dx, y + dy, y - dy)
    axes.imshow(image, extent=extent, interpolation=smooth, aspect="auto")


def _draw_caption(axes: Axes, caption: str, x: float, y: float, size: float, letters: int) -> None:
    """A caption below the image at x, y, each line cut to so many letters, and its frame."""
    cut = [_cut(line, letters) for line in caption.split("\n")]
    colour = {"✓": RIGHT, "✗": WRONG}.get(caption[:1], INK)
    text = "\n".join(cut)
    axes.text(x, y + size / 2 + 4, text, ha="center", va="top", fontsize=8, color=colour)
    if colour != INK:
        corner = (x - size / 2, y - size / 2)
        frame = Rectangle(corner, size, size, fill=False, edgecolor=colour, linewidth=2.5)
        frame.set_clip_on(False)
        axes.add_patch(frame)


def _draw_photograph(axes: Axes, pixels: np.ndarray, name: str) -> None:
    """An image [H, W, 3] with its name and its size below it."""
    axes.imshow(pixels)
    axes.grid(False)
    axes.set(xticks=[], yticks=[], xlabel=f"{name}, {_side_lengths(pixels)}")
    axes.spines[:].set_visible(False)


def _draw_train_and_test(axes: Axes, train: np.ndarray, test: np.ndarray, label: str) -> None:
    """Two lines over epochs; the second only where something was tested."""
    epochs = np.arange(1, len(train) + 1)
    _draw_line(axes, epochs, train, "train (mean over the epoch, augmented)", 0)
    if np.isfinite(test).any():
        _draw_line(axes, epochs, test, "test (after the epoch)", 1)
    axes.set_ylabel(label)


def _mark_sizes(accuracy: Axes, loss: Axes, rate: Axes, heights: list[int]) -> None:
    """Dotted lines where the images' height [epochs] changes, in pixels."""
    for after in range(1, len(heights)):
        if heights[after] == heights[after - 1]:
            continue
        look: dict[str, Any] = {"color": FAINT, "linestyle": ":", "zorder": 1}
        accuracy.axvline(after + 0.5, **look)  # between the points of two epochs
        loss.axvline(after + 0.5, **look)
        rate.axvline(after, **look)  # where the last step of the epoch ends
        sizes = f"{heights[after - 1]} px  {heights[after]} px"  # its middle on the line
        above = rate.get_xaxis_transform()  # x in epochs, y in heights of the axes
        rate.text(after, 1.02, sizes, ha="center", fontsize=8, transform=above)


def _draw_line(axes: Axes, x: Array, y: np.ndarray, label: str, i: int) -> None:
    """Draws line number i, no two alike up to 28; points get markers unless they would merge."""
    turn, place = divmod(i, len(COLOURS))
    dashes = ("-", "--", ":", "-.")[turn % 4]
    few = len(y) <= 60
    marker = "os^Dv<>"[place] if few else ""
    width = 1.8 if few else 1.2
    colour = COLOURS[place]
    axes.plot(x, y, marker=marker, color=colour, linestyle=dashes, linewidth=width, label=label)


def _write_shares(axes: Axes, counts: np.ndarray, shares: np.ndarray) -> None:
    """The share in percent in each cell of a confusion matrix that is not empty."""
    for i, j in np.argwhere(counts):
        colour = "white" if shares[i, j] > 0.45 else INK
        text = f"{100 * shares[i, j]:.1f}"
        axes.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)


def _name_cells(figure: Figure, axes: Axes, classes: Names, totals: np.ndarray) -> None:
    """Names rows and columns of a confusion matrix: every n-th, smaller, where there is no room."""
    k = len(classes)
    columns = [_cut(name, 30) for name in classes]
    rows = []
    for name, total in zip(columns, totals, strict=True):
        rows.append(name if total else f"{name} (no images)")
    if k <= 20:
        axes.set_xticks(range(k), columns, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(k), rows)
        return
    smallest = 6.0  # of letters, in points
    axes.set_xticks(range(k), columns, rotation=90, fontsize=smallest)
    axes.set_yticks(range(k), rows, fontsize=smallest)
    figure.draw_without_rendering()  # now the axes have their size
    room = axes.get_window_extent().height / k * 72 / figure.dpi  # of each class, in points
    size = min(9, max(smallest, room / 1.2))  # a line of text is 1.2 times its letters
    step = math.ceil(1.2 * size / room - 0.01)
    axes.set_xticks(range(0, k, step), columns[::step], rotation=90, fontsize=size)
    axes.set_yticks(range(0, k, step), rows[::step], fontsize=size)
    if step > 1:
        axes.set_ylabel(f"true class (one in {step} is named)")


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


# Where a name may stand, in points from its point: near it first, then farther off.
PLACES = [
    (far * x, far * y)
    for far in (6, 12, 20, 28, 36)
    for x, y in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
]


def _name_points(axes: Axes, names: Names, points: np.ndarray) -> None:
    """Names points [N, 2] of data, from the top down, each in the first free place beside it."""
    figure: Any = axes.figure
    figure.draw_without_rendering()  # now the axes have their size
    middles = axes.transData.transform(points)  # in pixels of the figure
    dots = [Bbox.from_bounds(x - 5, y - 5, 10, 10) for x, y in middles]
    labels: list[Bbox] = []
    for i in np.lexsort((points[:, 0], -points[:, 1])):
        x, y = points[i].tolist()
        others = dots[:i] + dots[i + 1 :] + labels
        labels.append(_free_label(axes, names[i], (x, y), others))


def _free_label(axes: Axes, name: str, point: tuple[float, float], others: list[Bbox]) -> Bbox:
    """Writes a name where it covers the fewest other boxes; returns its own box, in pixels."""
    label = axes.annotate(name, point, (0, 0), textcoords="offset points", fontsize=8)
    label.set_in_layout(False)  # the axes keep their size
    faults = [_faults(axes, label, place, others) for place in PLACES]
    place = PLACES[int(np.argmin(faults))]  # the first of the best
    _move_label(label, place)
    if _is_far(place):  # a line joins them
        thin = {"arrowstyle": "-", "color": FAINT, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 3}
        line = axes.annotate("", point, place, textcoords="offset points", arrowprops=thin)
        line.set_in_layout(False)
    return label.get_window_extent()


def _faults(axes: Axes, label: Annotation, place: tuple[float, float], others: list[Bbox]) -> int:
    """How many other boxes a label at this place would cover, its line counted; 10 if outside."""
    _move_label(label, place)
    box = label.get_window_extent()
    faults = box.count_overlaps(others)
    frame = axes.get_window_extent()
    if Bbox.union([box, frame]).bounds != frame.bounds:
        faults += 10
    if _is_far(place):
        start = axes.transData.transform(label.xy)
        end = start + np.array(place) * label.figure.dpi / 72  # a point is 1/72 inch
        line = Path([start, end])
        faults += sum(line.intersects_bbox(other, filled=False) for other in others)
    return faults


def _is_far(place: tuple[float, float]) -> bool:
    """Whether a name at this place needs a line to its point."""
    return math.hypot(*place) > 12


def _move_label(label: Annotation, place: tuple[float, float]) -> None:
    """Puts a label at this distance from its point, on the side where it does not cover it."""
    x, y = place
    label.set_position(place)
    label.set_horizontalalignment("left" if x > 0 else "right" if x < 0 else "center")
    label.set_verticalalignment("bottom" if y > 0 else "top" if y < 0 else "center")

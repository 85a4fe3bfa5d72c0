"""Every figure of the course, from plain arrays, lists and pictures.

Each function draws one figure and shows it, which puts it below the cell in Jupyter (outside it is `plt.show`,
which a program may replace to save the figure); none returns anything. A picture is a PIL image or uint8 [H, W, C] or
[C, H, W] with C = 1 or 3; a stack of pictures is uint8 [N, H, W, C] or [N, C, H, W], or a list of pictures.
Arrays may be lists, NumPy arrays or tensors. Input that does not fit raises a ValueError of one sentence.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, Protocol

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike
from PIL import Image

# Colours that colour-blind readers tell apart (Okabe and Ito, 2008), without their yellow, too pale on white.
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, "#CC79A7", "#56B4E9", "#000000")
RIGHT, WRONG = "#007A59", "#BA4A00"  # their green and vermillion, darker: small text must be easy to read
INK, FAINT = "#262626", "#A9B7C0"

DPI = 100  # a pixel of a figure in a notebook is 1/100 inch
STYLE = {"figure.dpi": DPI, "font.family": "DejaVu Sans", "font.size": 9, "lines.markersize": 4}
STYLE |= dict.fromkeys(("figure.facecolor", "axes.facecolor"), "white")  # in a dark theme too
STYLE |= dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK)
STYLE |= dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False)
STYLE |= {"axes.edgecolor": "#8C8C8C", "axes.grid": True, "axes.axisbelow": True, "grid.color": "#E4E4E4"}
STYLE |= {"figure.constrained_layout.use": True, "figure.constrained_layout.wspace": 0.06}
STYLE |= {"text.parse_math": False}  # a class may be called "$5"

Picture = Image.Image | ArrayLike
Names = Sequence[str]


class Curves(Protocol):
    """What `train` returns, or anything with these lists, one entry an epoch; accuracies are fractions."""

    train_loss: Sequence[float]
    test_loss: Sequence[float]
    train_accuracy: Sequence[float]
    test_accuracy: Sequence[float]
    learning_rate: Sequence[float]


# --- pictures ---------------------------------------------------------------------------------------------


@plt.rc_context(STYLE)
def image_grid(images: ArrayLike, titles: Names | None = None, columns: int = 10) -> None:
    """Pictures [N, ...] in rows of `columns`, enlarged without smoothing, with titles (if any) below."""
    pictures = _pictures(images)
    if titles is not None:
        _same_length(images=pictures, titles=titles)
    _draw_grid(pictures, columns, titles)
    _show_photographs()


@plt.rc_context(STYLE)
def classes_grid(images: ArrayLike, labels: ArrayLike, classes: Names, per_class: int = 8) -> None:
    """The first `per_class` pictures of each class, a row a class; labels: integers [N]."""
    labels = _integers("labels", labels, below=len(classes))
    _same_length(images=images, labels=labels)
    chosen = [np.flatnonzero(labels == k)[:per_class].tolist() for k in range(len(classes))]
    rows = [_pictures([images[i] for i in indices]) for indices in chosen]
    size = _picture_size(sum(rows, []), per_class + 1, gap=4)
    left = 8 * max(map(len, classes)) + 10  # where the pictures begin; the names stand before them
    axes = _canvas(left + per_class * (size + 4), len(classes) * (size + 4))
    for k, row in enumerate(rows):
        y = k * (size + 4)
        axes.text(left - 8, y + size / 2, classes[k], ha="right", va="center", fontsize=10)
        if not row:
            axes.text(left, y + size / 2, "no images", va="center")
        for column, picture in enumerate(row):
            _draw_picture(axes, picture, left + column * (size + 4), y, size)
    _show_photographs()


@plt.rc_context(STYLE)
def augmentations(original: Picture, variants: ArrayLike, columns: int = 6) -> None:
    """The original at the left; beside it, in rows of `columns`, what augmentation made of it, [N, ...]."""
    first, others = _picture(original), _pictures(variants)
    columns = max(1, min(columns, len(others)))
    size = _picture_size([first, *others], columns + 2, gap=4)
    left, top, pitch = size + 24, 18, size + 4  # the variants begin at (left, top)
    axes = _canvas(left + columns * pitch, top + max(1, -(-len(others) // columns)) * pitch)
    axes.text(size / 2, top - 6, "original", ha="center")
    axes.text(left + columns * pitch / 2, top - 6, "augmented", ha="center")
    _draw_picture(axes, first, 0, top, size)
    for i, picture in enumerate(others):
        _draw_picture(axes, picture, left + i % columns * pitch, top + i // columns * pitch, size)
    _show_photographs()


@plt.rc_context(STYLE)
def predictions(
    images: ArrayLike, labels: ArrayLike, probabilities: ArrayLike, classes: Names, count: int = 24
) -> None:
    """The first `count` pictures with the predicted class: a green tick, or a red cross and the true class.

    labels: integers [N]; probabilities: float [N, K].
    """
    _draw_answers(images, labels, probabilities, classes, range(min(count, len(images))), 8, percent=False)
    _show_photographs()


@plt.rc_context(STYLE)
def mistakes(
    images: ArrayLike, labels: ArrayLike, probabilities: ArrayLike, classes: Names, indices: ArrayLike
) -> None:
    """The pictures at `indices` (integers [M]), with predicted class, its probability, and the true class.

    labels: integers [N]; probabilities: float [N, K].
    """
    _draw_answers(images, labels, probabilities, classes, indices, 6, percent=True)
    _show_photographs()


@plt.rc_context(STYLE)
def prediction(
    picture: Picture, seen: Picture, classes: Names, probabilities: ArrayLike, top: int = 10
) -> None:
    """A picture, what the network sees of it, and the `top` likeliest classes; probabilities: float [K]."""
    probabilities = _probabilities(_array(probabilities)[None], classes)[0]
    likeliest = np.argsort(-probabilities, kind="stable")[:top]
    percent = 100 * probabilities[likeliest]
    figure, panels = plt.subplots(1, 3, figsize=(9, 2.6), width_ratios=(1.15, 1, 1.4))
    for axes, image, name in zip(
        panels, (picture, seen), ("the picture", "what the network sees"), strict=False
    ):
        pixels = _picture(image)
        height, width = pixels.shape[:2]
        _show_pixels(axes, pixels, smooth=max(height, width) > 300)
        axes.set(xticks=[], yticks=[], xlabel=f"{name}, {width} × {height}")
        axes.spines[:].set_visible(False)
    bars_drawn = panels[2].barh(range(len(percent)), percent, color=[BLUE] + [FAINT] * (len(percent) - 1))
    panels[2].bar_label(bars_drawn, [f"{p:.1f}" for p in percent], padding=3)
    _name_rows(panels[2], [classes[k] for k in likeliest])
    panels[2].set(xlim=(0, 112), xticks=range(0, 101, 25), xlabel="probability, %")
    _show_photographs()


# --- results ----------------------------------------------------------------------------------------------


@plt.rc_context(STYLE)
def class_counts(labels_by_split: Mapping[str, ArrayLike], classes: Names) -> None:
    """How many images of each class a split has, for one or more splits; labels: integers [N]."""
    counts = {}
    for split, labels in labels_by_split.items():
        labels = _integers(f"the labels of {split}", labels, below=len(classes))
        counts[split] = np.bincount(labels, minlength=len(classes))
    bars(classes, counts, "images")


@plt.rc_context(STYLE)
def curves(history: Curves) -> None:
    """Loss, accuracy and learning rate against the epoch."""
    values = {name: _numbers(name, getattr(history, name), None) for name in Curves.__annotations__}
    epochs = _same_length(**values)
    if not epochs:
        raise ValueError("There is no epoch to show yet: train the network first.")
    figure, (loss, accuracy, rate) = plt.subplots(1, 3, figsize=(9.8, 3))
    x = range(1, epochs + 1)
    for i, split in enumerate(("train", "test")):
        _draw_line(loss, x, values[f"{split}_loss"], split, i)
        _draw_line(accuracy, x, 100 * values[f"{split}_accuracy"], split, i)
    _draw_line(rate, x, values["learning_rate"], "", 2)
    for axes, label in ((loss, "loss"), (accuracy, "accuracy, %"), (rate, "learning rate")):
        _epoch_axis(axes, epochs)
        axes.set_ylabel(label)
    loss.legend()
    accuracy.legend()
    plt.show()


@plt.rc_context(STYLE)
def compare_curves(histories: Mapping[str, Curves]) -> None:
    """Test accuracy against the epoch for each run; the legend gives the last value."""
    runs = _series({name: history.test_accuracy for name, history in histories.items()}, None)
    figure, axes = plt.subplots(figsize=(9.5, 3.6))
    for i, (name, accuracy) in enumerate(runs.items()):
        if not len(accuracy):
            raise ValueError(f"There is no epoch of {name} to show yet: train the network first.")
        label = f"{name}: {100 * accuracy[-1]:.1f} %"
        _draw_line(axes, range(1, len(accuracy) + 1), 100 * accuracy, label, i)
    _epoch_axis(axes, max(map(len, runs.values())))
    axes.set_ylabel("test accuracy, %")
    figure.legend(loc="outside right upper")
    plt.show()


@plt.rc_context(STYLE)
def class_accuracy(
    accuracies: ArrayLike, classes: Names, overall: float | None = None, ordered: bool = False
) -> None:
    """A bar for each class, from fractions [K] (nan: no images), the best on top if `ordered`.

    overall: the accuracy over all images, a fraction, drawn as a line.
    """
    percent, names = 100 * _numbers("accuracies", accuracies, None), list(classes)
    _same_length(accuracies=percent, classes=names)
    if ordered:
        order = np.argsort(-percent, kind="stable")  # nan goes last
        percent, names = percent[order], [names[k] for k in order]
    figure, axes = plt.subplots(figsize=(7.5, 0.8 + 0.26 * len(names)))
    bars_drawn = axes.barh(range(len(names)), np.nan_to_num(percent), height=0.7, color=BLUE)
    texts = ["no images" if np.isnan(p) else f"{p:.1f}" for p in percent]
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # so that the line does not cross the numbers
    axes.bar_label(bars_drawn, texts, padding=4, bbox=box, zorder=3)
    if overall is not None:
        label = f"all classes: {100 * overall:.1f} %"
        axes.axvline(100 * overall, color=VERMILLION, linestyle="--", label=label, zorder=2)
        figure.legend(loc="outside upper right")
    _name_rows(axes, names)
    axes.set(xlim=(0, 108), xticks=range(0, 101, 20), xlabel="accuracy, %")
    plt.show()


@plt.rc_context(STYLE)
def confusion(matrix: ArrayLike, classes: Names, percent: bool = True) -> None:
    """A confusion matrix, counts [K, K]: shade and number of a cell give its share of the row in percent.

    percent=False writes the counts. Empty cells stay blank; above 20 classes only the shades are drawn.
    """
    k = len(classes)
    counts = _numbers("matrix", matrix, k, k)
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    side = min(8.5, 2 + 0.45 * k)
    figure, axes = plt.subplots(figsize=(side, 0.9 * side))
    edges = np.arange(k + 1) - 0.5
    # The square root of the share: the mistakes, a few percent each, would be invisible beside the diagonal.
    axes.pcolormesh(edges, edges, np.sqrt(shares), cmap="Blues", vmin=0, vmax=1, edgecolors="white")
    for i, j in np.argwhere(counts) if k <= 20 else ():
        text = f"{100 * shares[i, j]:.1f}" if percent else f"{counts[i, j]:,.0f}"
        colour = "white" if shares[i, j] > 0.45 else INK
        axes.text(j, i, text, ha="center", va="center", fontsize=8, color=colour)
    names = [name if total else f"{name} (no images)" for name, total in zip(classes, totals, strict=True)]
    axes.set_xticks(range(k), classes, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(k), names)
    axes.set(xlabel="predicted class", ylabel="true class", ylim=(k - 0.5, -0.5), aspect="equal")
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    plt.show()


# --- experiments ------------------------------------------------------------------------------------------


@plt.rc_context(STYLE)
def bars(names: Names, values: ArrayLike | Mapping[str, ArrayLike], label: str, log: bool = False) -> None:
    """A horizontal bar with its value for each name, the first on top; label: the quantity and its unit.

    values: numbers [N], or several series of them by name, drawn in groups. log: a logarithmic axis.
    """
    series = _series(values if isinstance(values, Mapping) else {"values": values}, None)
    height = 0.8 / len(series)
    figure, axes = plt.subplots(figsize=(8, 0.7 + len(names) * (0.12 + 0.13 * len(series))))
    for i, (name, numbers) in enumerate(series.items()):
        _same_length(**{"names": names, str(name): numbers})
        y = np.arange(len(names)) + (i - (len(series) - 1) / 2) * height
        drawn = axes.barh(y, numbers, height, label=name, color=COLOURS[i % len(COLOURS)])
        axes.bar_label(drawn, [_short(v) for v in numbers], padding=3, fontsize=8)
    _name_rows(axes, names)
    axes.margins(x=0.08)
    _number_axis(axes.xaxis, label, log)
    if len(series) > 1:
        figure.legend(loc="outside right upper")
    plt.show()


@plt.rc_context(STYLE)
def lines(
    x: ArrayLike | Mapping[str, ArrayLike],
    series: Mapping[str, ArrayLike],
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
) -> None:
    """A line for each series [N] against x [N], or against x[name] where x holds one list for each series.

    Labels give the quantity and its unit. A logarithmic axis leaves out what is not above 0.
    """
    figure, axes = plt.subplots(figsize=(9, 3.6))
    for i, (name, y) in enumerate(_series(series, None).items()):
        across = _numbers("x", x[name] if isinstance(x, Mapping) else x, None)
        _same_length(**{"x": across, str(name): y})
        _draw_line(axes, across, y, name, i)
    _number_axis(axes.xaxis, x_label, log_x)
    _number_axis(axes.yaxis, y_label, log_y)
    if len(series) > 1:
        figure.legend(loc="outside right upper")
    plt.show()


@plt.rc_context(STYLE)
def points(names: Names, x: ArrayLike, y: ArrayLike, x_label: str, y_label: str, log_x: bool = False) -> None:
    """A point with its name for each pair of numbers, x [N] and y [N]; labels give the quantity and its unit."""
    across, up = _numbers("x", x, None), _numbers("y", y, None)
    _same_length(names=names, x=across, y=up)
    _, axes = plt.subplots(figsize=(8, 4))
    axes.scatter(across, up, color=BLUE, zorder=3)
    for name, *place in zip(names, across, up, strict=True):
        axes.annotate(name, place, (6, 6), textcoords="offset points", fontsize=9)
    axes.margins(x=0.2, y=0.15)  # room for the names
    _number_axis(axes.xaxis, x_label, log_x)
    _number_axis(axes.yaxis, y_label, log=False)
    plt.show()


@plt.rc_context(STYLE)
def planes(sets: Mapping[str, ArrayLike], columns: int = 6) -> None:
    """Points in the plane, [N, 2], a panel for each set; the colour runs from the first point to the last."""
    sets = _series(sets, None, 2)
    columns = min(columns, len(sets))
    rows = -(-len(sets) // columns)
    figure, grid = plt.subplots(rows, columns, figsize=(1.6 * columns, 1.8 * rows), squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (name, points) in zip(grid.flat, sets.items(), strict=False):
        axes.scatter(points[:, 0], points[:, 1], c=np.arange(len(points)), cmap="viridis", s=4)
        axes.set_title(name, fontsize=9)
    plt.show()


# --- helpers: what comes in -------------------------------------------------------------------------------


def _array(values: Any) -> np.ndarray:
    """A list, an array or a tensor on any device as a NumPy array."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _numbers(name: str, values: Any, *shape: int | None) -> np.ndarray:
    """Values as float64 (None becomes nan); shape: the length that each dimension must have, None for any."""
    array = _array(values).astype(float)
    if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        wanted = ", ".join("N" if n is None else str(n) for n in shape)
        raise ValueError(f"{name} must be [{wanted}], not {list(array.shape)}.")
    return array


def _integers(name: str, values: Any, below: int) -> np.ndarray:
    """Values as int64 [N], each from 0 to below - 1."""
    array = _array(values)
    if array.ndim != 1 or array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers [N], not {array.dtype} {list(array.shape)}.")
    if array.size and not 0 <= array.min() <= array.max() < below:
        raise ValueError(f"{name} must lie between 0 and {below - 1}, not {array.min()} and {array.max()}.")
    return array.astype(np.int64)


def _probabilities(values: Any, classes: Names) -> np.ndarray:
    """Probabilities as float64 [N, K], a column for each class."""
    array = _numbers("probabilities", values, None, len(classes))
    if not ((array >= 0) & (array <= 1.001)).all():
        raise ValueError("probabilities must lie between 0 and 1: take the softmax of the logits first.")
    return array


def _series(series: Mapping[str, Any], *shape: int | None) -> dict[str, np.ndarray]:
    """Each series as float64 of this shape; at least one."""
    if not series:
        raise ValueError("There is nothing to draw: give at least one series.")
    return {name: _numbers(name, values, *shape) for name, values in series.items()}


def _same_length(**values: Any) -> int:
    """The length that all of these share."""
    lengths = {name: len(value) for name, value in values.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError("Lengths differ: " + ", ".join(f"{n} {name}" for name, n in lengths.items()) + ".")
    return max(lengths.values())


def _picture(image: Any) -> np.ndarray:
    """A picture as uint8 [H, W] (grey) or [H, W, 3]."""
    if isinstance(image, Image.Image):
        image = image if image.mode == "L" else image.convert("RGB")
    pixels = _array(image)
    if pixels.dtype != np.uint8:
        raise ValueError(
            f"A picture must be uint8, 0 to 255, not {pixels.dtype}: undo the normalisation first."
        )
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3) and pixels.shape[0] in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if not pixels.size or pixels.ndim != 2 and pixels.shape[2:] != (3,):
        raise ValueError(f"A picture must be [H, W, C] or [C, H, W], C = 1 or 3, not {list(pixels.shape)}.")
    return pixels


def _pictures(images: Any) -> list[np.ndarray]:
    """Each picture of a stack or a list."""
    if hasattr(images, "shape") and len(images.shape) != 4:
        raise ValueError(f"Pictures must be [N, H, W, C] or [N, C, H, W], not {list(images.shape)}.")
    return [_picture(image) for image in images]


# --- helpers: what is drawn -------------------------------------------------------------------------------


def _canvas(width: float, height: float) -> Axes:
    """Axes without frame that fill a figure of this size in pixels; x goes right and y down, in pixels."""
    figure = plt.figure(figsize=(width / DPI, height / DPI), layout="none")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return axes


def _picture_size(pictures: Sequence[np.ndarray], columns: int, gap: int) -> int:
    """Pixels for a picture: a multiple of its own size if there is room, so that its pixels come out even."""
    room = max(8, min(128, 980 // columns - gap))
    longest = max((max(picture.shape[:2]) for picture in pictures), default=room)
    return room // longest * longest or room


def _show_pixels(axes: Axes, pixels: np.ndarray, smooth: bool, **where: Any) -> None:
    """Draws a picture, smoothed where it shrinks; enlarged, each of its pixels stays a square."""
    look = {"cmap": "gray", "vmin": 0, "vmax": 255, "interpolation": "hanning" if smooth else "nearest"}
    axes.imshow(pixels, **look, **where)
    axes.grid(False)


def _draw_picture(axes: Axes, pixels: np.ndarray, x: float, y: float, size: float) -> None:
    """Draws a picture in its own proportions into the square with its top left corner at (x, y)."""
    longest = max(pixels.shape[:2])
    height, width = (length * size / longest for length in pixels.shape[:2])
    x, y = x + (size - width) / 2, y + (size - height) / 2
    _show_pixels(axes, pixels, smooth=longest > size, extent=(x, x + width, y + height, y))


def _draw_grid(
    pictures: list[np.ndarray], columns: int, captions: Names | None = None, colours: Names | None = None
) -> None:
    """Draws pictures in rows, with captions below and, in these colours, frames around them."""
    columns = max(1, min(columns, len(pictures)))
    gap = 8 if captions else 2
    size = _picture_size(pictures, columns, gap)
    wide = size + gap
    high = wide + 14 * max((1 + caption.count("\n") for caption in captions or ()), default=0)
    room = int(wide / 6.4)  # letters in a line: one is about 6.4 pixels wide
    axes = _canvas(max(columns * wide, 200), max(1, -(-len(pictures) // columns)) * high)
    if not pictures:
        axes.text(0, 20, "There is no picture to show.")
    for i, picture in enumerate(pictures):
        x, y = i % columns * wide, i // columns * high
        colour = colours[i] if colours else INK
        _draw_picture(axes, picture, x, y, size)
        if colours:
            axes.add_patch(
                Rectangle((x, y), size, size, fill=False, edgecolor=colour, linewidth=2.5, clip_on=False)
            )
        if captions:
            cut = [line if len(line) <= room else line[: room - 1] + "…" for line in captions[i].split("\n")]
            place = {"ha": "center", "va": "top", "fontsize": 8, "color": colour}
            axes.text(x + size / 2, y + size + 4, "\n".join(cut), **place)


def _draw_answers(
    images: Any, labels: Any, probabilities: Any, classes: Names, indices: Any, columns: int, percent: bool
) -> None:
    """Draws the pictures at `indices`, marked right or wrong, with the answer's probability if `percent`."""
    labels, probabilities = _integers("labels", labels, len(classes)), _probabilities(probabilities, classes)
    count = _same_length(images=images, labels=labels, probabilities=probabilities)
    indices = _integers("indices", indices, below=count).tolist()
    captions, colours = [], []
    for i in indices:
        guess = probabilities[i].argmax()
        right = guess == labels[i]
        answer = f"{classes[guess]} {100 * probabilities[i, guess]:.1f} %" if percent else classes[guess]
        captions.append(f"✓ {answer}" if right else f"✗ {answer}\ntrue: {classes[labels[i]]}")
        colours.append(RIGHT if right else WRONG)
    _draw_grid(_pictures([images[i] for i in indices]), columns, captions, colours)


def _show_photographs() -> None:
    """Shows the figure; in a notebook as a JPEG, which takes a third of the room of a PNG for photographs."""
    if "inline" not in plt.get_backend():
        plt.show()
        return
    from IPython.display import Image as Shown
    from IPython.display import display

    figure, data = plt.gcf(), BytesIO()
    figure.savefig(
        data,
        format="jpeg",
        bbox_inches="tight",
        pad_inches=0.05,
        pil_kwargs={"quality": 75, "optimize": True},
    )
    plt.close(figure)
    display(Shown(data.getvalue(), format="jpeg"))


def _draw_line(axes: Axes, x: Any, y: np.ndarray, label: str, i: int) -> None:
    """Draws line number i, no two alike up to 28; points get markers unless they would merge."""
    dashes = ("-", "--", ":", "-.")[i // len(COLOURS) % 4]
    few = len(y) <= 60
    look = {"color": COLOURS[i % len(COLOURS)], "linestyle": dashes, "linewidth": 1.8 if few else 1.2}
    axes.plot(x, y, marker="os^Dv<>"[i % len(COLOURS)] if few else "", label=label, **look)


def _name_rows(axes: Axes, names: Names) -> None:
    """Names the rows of a bar chart, the first at the top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")


def _epoch_axis(axes: Axes, epochs: int) -> None:
    """An axis of epochs 1, 2, 3 and so on, wide enough to show a single one."""
    axes.set(xlabel="epoch", xlim=(0.5, epochs + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))


def _number_axis(axis: Any, label: str, log: bool) -> None:
    """Names an axis and writes plain numbers along it: 0.1, 20, 3,000, 4 M."""
    axis.set_label_text(label)
    if log:
        axis.axes.set(**{f"{axis.axis_name}scale": "log"})
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(
        lambda value, _: f"{value / 1e6:,.10g} M" if abs(value) >= 1e6 else f"{value:,.10g}"
    )


def _short(value: float) -> str:
    """A number as a reader would write it: 0.457, 12.3, 100, 11,263,042."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

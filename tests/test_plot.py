"""The figures, looked at through their artists: what is drawn, in which colour, which words."""

from io import BytesIO
from types import SimpleNamespace

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from nbconvert import HTMLExporter
from PIL import Image

from utils import plot

pytestmark = pytest.mark.filterwarnings("error")  # a missing glyph, a layout that does not fit

CLASSES = ("cat", "dog", "$5 and $6")
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
PROBABILITIES = np.full((9, 3), 0.01)
PROBABILITIES[np.arange(9), [0, 1, 2, 0, 1, 2, 1, 0, 0]] = 0.98  # the last three are wrong
LOSSES = {"train_loss": [2.0, 1.5, 1.25], "test_loss": [2.25, None, 1.5]}
ACCURACIES = {"train_accuracy": [0.25, 0.5, 0.625], "test_accuracy": [0.125, 0.375, 0.5]}
HISTORY = LOSSES | ACCURACIES | {"learning_rate": [0.1, 0.05, 0.0], "learning_rates": []}


@pytest.fixture
def shown(monkeypatch):
    """The figures that plt.show() was called for, each drawn once, in a dark theme."""
    figures = []

    def show() -> None:
        figure = plt.gcf()
        figure.canvas.draw()
        figures.append(figure)
        assert max(figure.get_size_inches()) <= 10  # it fits a laptop
        assert to_rgb(figure.get_facecolor()) == to_rgb(figure.axes[0].get_facecolor()) == (1, 1, 1)
        assert figure.axes[0].xaxis.label.get_color() == plot.INK

    monkeypatch.setattr(plt, "show", show)
    with plt.style.context("dark_background"):
        yield figures
    assert plt.get_fignums() == [figure.number for figure in figures]
    plt.close("all")


@pytest.fixture
def pictures(monkeypatch):
    """The pictures that a notebook shows below its cell, as IPython's Image objects."""
    given = []
    monkeypatch.setattr(plt, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    monkeypatch.setattr("IPython.display.display", given.append)
    yield given
    assert not plt.get_fignums(), "a figure left open would be shown a second time"


def texts(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]


def test_the_readers_own_fonts_come_after_the_one_that_has_the_marks(shown):
    with plt.rc_context({"font.family": ["cursive"]}):
        plot.bars(["a", "b"], [1, 2], "images")
    assert shown[0].axes[0].get_yticklabels()[0].get_fontfamily() == ["DejaVu Sans", "cursive"]


def test_images_of_any_layout_are_drawn_alike(shown):
    grey, first = 100 + IMAGES[..., 0] // 4, torch.from_numpy(IMAGES).permute(0, 3, 1, 2)
    for images in (IMAGES, first, list(first), [Image.fromarray(image) for image in IMAGES]):
        plot.image_grid(images)
    for images in (
        grey,
        grey[:, None],
        grey[..., None],
        [Image.fromarray(image) for image in grey],
    ):
        plot.image_grid(images)
    for figure, expected in zip(
        shown, [IMAGES] * 4 + [np.stack([grey] * 3, axis=-1)] * 4, strict=True
    ):
        assert all(
            (a.get_array() == b).all() for a, b in zip(figure.axes[0].images, expected, strict=True)
        )


def test_classes_grid_has_a_row_for_each_class(shown):
    plot.classes_grid(IMAGES, np.array([2, 0, 2, 0, 0, 2, 0, 2, 0]), CLASSES, per_class=3)
    assert texts(shown[0].axes[0]) == ["cat", "dog (no images)", "$5 and $6"]
    drawn = shown[0].axes[0].images
    assert (np.stack([image.get_array() for image in drawn]) == IMAGES[[1, 3, 4, 0, 2, 5]]).all()
    tops = [image.get_extent()[3] for image in drawn]
    assert tops[0] == tops[1] == tops[2] < tops[3] == tops[4] == tops[5]


def test_answers_are_marked_by_colour_and_by_sign(shown):
    plot.predictions(
        torch.from_numpy(IMAGES), torch.from_numpy(LABELS), PROBABILITIES, CLASSES, count=7
    )
    axes = shown[0].axes[0]
    assert texts(axes) == ["✓ cat", "✓ dog", "✓ $5 and $6"] * 2 + ["✗ dog\ntrue: cat"]
    assert [text.get_color() for text in axes.texts[-7:]] == [plot.RIGHT] * 6 + [plot.WRONG]
    assert to_rgb(axes.patches[6].get_edgecolor()) == to_rgb(plot.WRONG)


def test_mistakes_come_in_the_order_given_with_their_probability(shown):
    plot.mistakes(IMAGES, LABELS, PROBABILITIES, CLASSES, np.array([8, 6]))
    assert texts(shown[0].axes[0]) == ["✗ cat 98.0 %\ntrue: $5 and $6", "✗ dog 98.0 %\ntrue: cat"]
    assert (shown[0].axes[0].images[0].get_array() == IMAGES[8]).all()
    plot.mistakes(IMAGES, LABELS, PROBABILITIES, CLASSES, np.flatnonzero(np.zeros(9)))
    assert "no images" in texts(shown[1].axes[0])[0]


def test_long_class_names_are_cut_before_they_run_into_each_other(shown):
    names = ("Staffordshire bull terrier", "Cardigan Welsh corgi", "Rhodesian ridgeback")
    plot.predictions(IMAGES[1:], LABELS[1:], PROBABILITIES[1:], names)  # a full row of 8
    boxes = [text.get_window_extent() for text in shown[0].axes[0].texts if text.get_text()]
    assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:], strict=False))


def test_gallery_reads_the_class_from_the_files_name(shown, capsys):
    classes = ("cat", "dog", "hot dog", "ice_cream")
    named = {
        "CAT_01.JPG": None,
        "my dog 2.jpg": "dog",
        "Hot dog": "hot dog",
        "ice cream.png": "ice_cream",
    }
    names = [*named, "catalog.jpg", "IMG_20240131_123456.JPG"]
    plot.gallery([Image.new("RGB", (40, 30))] * 6, [[0.75, 0.25, 0, 0]] * 6, classes, names)
    found = texts(shown[0].axes[0])
    assert found[:4] == [
        f"✗ cat 75.0 %\ntrue: {k}" if k else "✓ cat 75.0 %" for k in named.values()
    ]
    assert found[4] == "cat 75.0 %\ncatalog.jpg"
    assert found[5].endswith("123456.JPG")
    assert shown[0].axes[0].texts[-1].get_color() == plot.INK
    plot.gallery(IMAGES[:1], PROBABILITIES[:1], CLASSES, ["IMG_0001.JPG"])  # counts nothing
    assert capsys.readouterr().out == "1 of 4 right\n"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("cat1.jpg", "cat"),
        ("dog02.png", "dog"),
        ("IMG12cat.jpg", "cat"),
        ("catalog.jpg", None),
        ("hot_dog3.jpg", "hot dog"),
        ("cafe\u0301 (1).jpg", "caf\u00e9"),  # as macOS writes it
        ("小猫照片.jpg", "猫"),
        ("红茶.jpg", "红茶"),
        ("cat照片.jpg", "cat"),
        ("IMG_0007.jpg", None),
        ("photo7.jpg", None),
        ("digit_7.png", "7"),
        ("class10.jpg", "class10"),
    ],
)
def test_digits_and_scripts_without_spaces_end_a_word_in_a_files_name(name, found):
    known = ("cat", "dog", "hot dog", "caf\u00e9", "猫", "茶", "红茶", "7", "class1", "class10")
    assert plot._class_in(name, known) == found


def test_prediction_shows_both_images_and_the_likeliest_class_on_top(shown):
    plot.prediction(Image.new("RGB", (640, 480), "red"), IMAGES[0], CLASSES, [0.125, 0.25, 0.625])
    left, middle, right = shown[0].axes
    assert left.images[0].get_array().shape == (480, 640, 3)
    assert (middle.images[0].get_array() == IMAGES[0]).all()
    assert [bar.get_width() for bar in right.patches] == [62.5, 25, 12.5]
    assert [label.get_text() for label in right.get_yticklabels()] == ["$5 and $6", "dog", "cat"]
    assert right.yaxis_inverted()


def test_curves_draws_accuracy_loss_and_the_learning_rate_of_each_step(shown):
    flat, an_epoch = [0.2, 0.1, 0.0, 0.3, 0.2, 0.1], [[0.2, 0.1], [0.0, 0.3], [0.2, 0.1]]
    for rates in ([], flat, an_epoch):
        plot.curves(SimpleNamespace(**HISTORY | {"learning_rates": rates}))
    accuracy, loss, rate = shown[0].axes
    assert [a.get_ylabel() for a in (accuracy, loss, rate)] == [
        "accuracy, %",
        "loss",
        "learning rate",
    ]
    assert [list(line.get_ydata()) for line in accuracy.lines] == [[25, 50, 62.5], [12.5, 37.5, 50]]
    assert list(loss.lines[0].get_ydata()) == [2.0, 1.5, 1.25]
    assert np.isnan(loss.lines[1].get_ydata()).tolist() == [False, True, False]
    assert "augmented" in shown[0].legends[0].get_texts()[0].get_text()
    by_epoch, *by_step = (figure.axes[2].lines[0].get_xydata().T.tolist() for figure in shown)
    assert by_epoch == [[1, 2, 3], [0.1, 0.05, 0.0]]
    assert by_step == [[[0.5, 1, 1.5, 2, 2.5, 3], flat]] * 2


def test_curves_say_where_the_images_became_larger(shown):
    plot.curves(SimpleNamespace(**HISTORY | {"height": [24, 24, 32]}))
    marks = [list(axes.lines[-1].get_xdata()) for axes in shown[0].axes]
    assert marks == [[2.5, 2.5], [2.5, 2.5], [2, 2]], (
        "the rate is drawn step by step: epoch 2 ends at 2"
    )
    assert "24 px" in " ".join(texts(shown[0].axes[2]))
    plot.curves(SimpleNamespace(**HISTORY | {"height": [32, 32, 32]}))
    assert texts(shown[1].axes[2]) == []


def test_dots_shows_every_number_and_the_mean(shown):
    plot.dots({"with": [80, 82, 84], "without": [70]}, "accuracy, %")
    axes = shown[0].axes[0]
    drawn, mean, alone, _ = axes.lines
    assert drawn.get_xydata().tolist() == [[80, 0], [82, 0], [84, 0]]
    assert list(mean.get_xdata()) == [82, 82]
    assert alone.get_xydata().tolist() == [[70, 1]]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["with", "without"]


def test_spread_shows_medians_middle_halves_and_the_noise_of_the_twin(shown):
    twin = [0.9, 0.96, 1.0, 1.02, 1.1]
    plot.spread({"x, again": twin, "y": [1.2, 1.4, 1.5, 1.6, 9.0]}, "time, as a multiple of x")
    axes = shown[0].axes[0]
    points = axes.containers[0].lines[0]
    assert points.get_xydata().tolist() == [[1.0, 0], [1.5, 1]]
    (reach,) = axes.containers[0].lines[2]
    ends = [segment[:, 0].tolist() for segment in reach.get_segments()]
    assert np.allclose(ends, [[0.96, 1.02], [1.4, 1.6]])
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    assert np.allclose([band.x0, band.x1], [0.96, 1.04])
    assert texts(axes) == ["1.00 (0.96 to 1.02)", "1.50 (1.40 to 1.60)"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x, again", "y"]
    plot.spread({"x, again": [-1, 0.5, 3], "y": [8.0, 14, 15]}, "time, %", centre=0.0)
    band = shown[1].axes[0].patches[0].get_extents()
    band = band.transformed(shown[1].axes[0].transData.inverted())
    assert np.allclose([band.x0, band.x1], [-1.75, 1.75])
    with pytest.raises(plot.PlotError, match="twin"):
        plot.spread({}, "time")


def names_of(axes):
    return [text for text in axes.texts if text.get_text()]


def test_frontier_names_twenty_networks_and_no_name_lies_on_another(shown):
    random = np.random.default_rng(0)
    names = [f"Network v{k}" for k in range(20)]
    minutes = np.exp(random.uniform(np.log(1), np.log(120), 20))
    percent = random.uniform(86, 94, 20)
    plot.frontier(names, minutes, percent)
    axes = shown[0].axes[0]
    assert axes.get_xscale() == "log"
    assert {text.get_text() for text in names_of(axes)} == set(names)
    boxes = [text.get_window_extent() for text in names_of(axes)]
    frame = axes.get_window_extent()
    for i, box in enumerate(boxes):
        assert box.count_overlaps(boxes[:i]) == 0
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1


def test_frontier_can_be_drawn_into_axes_and_is_the_same_each_time():
    files = []
    for _ in range(2):
        with plt.rc_context(plot.STYLE | {"svg.hashsalt": "course"}):
            figure = Figure(figsize=(7.5, 4.5))
            axes = figure.subplots()
            plot.draw_frontier(axes, ["a", "b", "c"], [1, 10, 11], [80, 90, 90])
            file = BytesIO()
            figure.savefig(file, format="svg", metadata={"Date": None})
        files.append(file.getvalue())
    assert files[0] == files[1]
    assert {text.get_text() for text in names_of(axes)} == {"a", "b", "c"}


def test_maps_has_a_row_for_each_layer_and_its_first_maps(shown):
    early, late = np.arange(48).reshape(3, 4, 4), np.arange(8).reshape(2, 2, 2)
    plot.maps({"early": early, "late": late}, count=3)
    panels = shown[0].axes
    assert [panel.get_title(loc="left") for panel in panels] == ["early", "", "", "late", "", ""]
    drawn = [np.asarray(image.get_array()).tolist() for panel in panels for image in panel.images]
    assert drawn == [*early.tolist(), *late.tolist()], "a layer of two leaves its third place empty"


def test_class_accuracy_writes_every_value_and_the_overall_line(shown):
    plot.class_accuracy([0.5, np.nan, 1.0], CLASSES, overall=0.75)
    assert [bar.get_width() for bar in shown[0].axes[0].patches] == [50, 0, 100]
    assert texts(shown[0].axes[0]) == ["50.0", "no images", "100.0"]
    assert list(shown[0].axes[0].lines[0].get_xdata()) == [75, 75]
    assert "75.0 %" in shown[0].legends[0].get_texts()[0].get_text()


def test_confusion_shades_and_numbers_are_shares_of_the_row(shown):
    plot.confusion([[90, 10, 0], [0, 0, 0], [1, 1, 2]], CLASSES)
    plot.confusion(np.eye(21), [str(k) for k in range(21)])
    axes = shown[0].axes[0]
    shades = np.asarray(axes.collections[0].get_array()).reshape(3, 3)
    assert shades**2 == pytest.approx(np.array([[0.9, 0.1, 0], [0, 0, 0], [0.25, 0.25, 0.5]]))
    assert texts(axes) == ["90.0", "10.0", "25.0", "25.0", "50.0"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert axes.yaxis_inverted()  # the first true class on top
    assert texts(shown[1].axes[0]) == []


@pytest.mark.parametrize("k", [21, 60, 100])
def test_no_name_lies_on_the_next_one_in_a_confusion_of_many_classes(shown, k):
    plot.confusion(np.eye(k), [f"species number {i}" for i in range(k)])
    axes = shown[0].axes[0]
    for labels, side in ((axes.get_yticklabels(), "y"), (axes.get_xticklabels(), "x")):
        boxes = [label.get_window_extent() for label in labels]
        starts = sorted(getattr(box, f"{side}0") for box in boxes)
        sizes = [getattr(box, "height" if side == "y" else "width") for box in boxes]
        assert min(np.diff(starts)) > 0.8 * max(sizes)
        assert len(labels) == k if k <= 60 else len(labels) >= 40
        assert labels[1].get_text() == f"species number {1 if k <= 60 else k // 50}"


def test_bars_write_their_values(shown):
    plot.bars(["full", "depthwise", "both"], [11_263_042, 99.96, 0.012345], "parameters")
    assert [bar.get_width() for bar in shown[0].axes[0].patches] == [11_263_042, 99.96, 0.012345]
    assert texts(shown[0].axes[0]) == ["11,263,042", "100", "0.0123"]


def test_lines_draw_each_series_against_its_x_and_no_two_look_alike(shown):
    plot.lines({"a": [1, 60], "b": [3, 4, 5]}, {"a": [10, 1e7], "b": [9, 8, 7]}, "x, m", "y", True)
    plot.lines([0, 1], {k: [k, k + 1] for k in range(20)}, "x", "y")
    axes = shown[0].axes[0]
    first, second = (line.get_xydata().T.tolist() for line in axes.lines)
    assert (first, second) == ([[1, 60], [10, 1e7]], [[3, 4, 5], [9, 8, 7]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x, m", "y")
    plot.lines([0, 1], {"a": [1, 60]}, "x", "y", log_y=True)
    for panel, ticks in ((axes, "100,000 1 M 10 M"), (shown[2].axes[0], "1 2 5 10 20 50")):
        assert ticks in " ".join(label.get_text() for label in panel.get_yticklabels())
    assert len({(line.get_color(), line.get_linestyle()) for line in shown[1].axes[0].lines}) == 20


@pytest.mark.parametrize("epochs", [1, 2, 3, 5, 20])
def test_there_is_no_half_epoch_on_an_axis(shown, epochs):
    plot.lines(range(1, epochs + 1), {"a": range(epochs)}, "epoch", "y")
    lists = {name: [0.5] * epochs for name in HISTORY}
    plot.curves(SimpleNamespace(**lists | {"learning_rates": []}))
    for axes in (shown[0].axes[0], *shown[1].axes):
        assert all(float(tick).is_integer() for tick in axes.get_xticks())
        assert any(1 <= tick <= epochs for tick in axes.get_xticks())


def test_photographs_are_shown_as_jpeg_in_a_notebook_and_the_rest_as_png(pictures):
    plot.image_grid(IMAGES)
    plot.bars(["a", "b"], [1, 2], "images")
    plot.maps({"early": np.zeros((3, 4, 4))})
    jpeg, *png = [image.data[:4] for image in pictures]
    assert jpeg == b"\xff\xd8\xff\xe0"
    assert png == [b"\x89PNG"] * 2


def test_the_backend_of_a_shell_does_not_hide_the_figures_of_a_notebook(pictures, monkeypatch):
    monkeypatch.setattr(plt, "get_backend", lambda: "agg")
    monkeypatch.setattr(plot, "get_ipython", lambda: SimpleNamespace(kernel="a notebook's"))
    plot.bars(["a", "b"], [1, 2], "images")
    assert len(pictures) == 1


DRAWN = {
    "9 images in rows: cat, dog, $5 and $6.": lambda: plot.classes_grid(IMAGES, LABELS, CLASSES),
    "1 image: “the first”.": lambda: plot.image_grid(IMAGES[:1], ["the first"]),
    "7 images with predicted classes, 6 right, 1 wrong: “dog, true: cat”.": lambda: (
        plot.predictions(IMAGES, LABELS, PROBABILITIES, CLASSES, count=7)
    ),
    "1 image with predicted classes, 0 right, 1 wrong: “dog 98.0 %, true: cat”.": lambda: (
        plot.mistakes(IMAGES, LABELS, PROBABILITIES, CLASSES, [6])
    ),
    "2 images with predicted classes, 1 right, 0 wrong: “dog 98.0 %, x.jpg”.": lambda: plot.gallery(
        IMAGES[:2], PROBABILITIES[:2], CLASSES, ["cat.jpg", "x.jpg"]
    ),
    "An image of 40 × 30 pixels, what the network sees of it, 32 × 32, and bars of probability "
    "in %: dog 75.0, cat 25.0.": lambda: plot.prediction(
        Image.new("RGB", (40, 30)), IMAGES[0], CLASSES[:2], [0.25, 0.75]
    ),
    "Lines over 3 epochs: training accuracy from 25.0 to 62.5 %; test accuracy from 12.5 to "
    "50.0 %; training loss from 2 to 1.25; test loss from 2.25 to 1.5; learning rate at most 0.1. "
    "The images grow from 24 to 32 pixels.": lambda: plot.curves(
        SimpleNamespace(**HISTORY | {"height": [24, 24, 32]})
    ),
    "Bars, accuracy in %: cat 50.0, dog no images, $5 and $6 100.0. All classes: 75.0.": lambda: (
        plot.class_accuracy([0.5, np.nan, 1.0], CLASSES, overall=0.75)
    ),
    "Confusion matrix of 2 classes, 80.0 % of 200 images right. Most often mistaken: 30.0 % of dog "
    "as cat, 10.0 % of cat as dog.": lambda: plot.confusion([[90, 10], [30, 70]], ["cat", "dog"]),
    "Confusion matrix of 2 classes, 100.0 % of 2 images right.": lambda: plot.confusion(
        np.eye(2, dtype=int), ["cat", "dog"]
    ),
    "Bars, parameters: full 11,263,042, both 0.0123.": lambda: plot.bars(
        ["full", "both"], [11_263_042, 0.012345], "parameters"
    ),
    "Lines, loss against epoch: train from 3 to 1.5, test 2.": lambda: plot.lines(
        [1, 2], {"train": [3, 1.5], "test": [None, 2]}, "epoch", "loss"
    ),
    "Dots around their mean (lowest to highest), accuracy, %: with 82 (80 to 84).": lambda: (
        plot.dots({"with": [80, 82, 84]}, "accuracy, %")
    ),
    "Medians (middle half), time: x, again 1.02 (0.96 to 1.03), y 1.50 (1.42 to 1.58). "
    "Within the noise: 0.96 to 1.04.": lambda: plot.spread(
        {"x, again": [0.96, 1.02, 1.03, 0.96, 1.03], "y": [1.4, 1.5, 1.6] * 2}, "time"
    ),
    "Points, accuracy against minutes, from the best down: VGG-11 90.6 % in 38, LeNet-5 68.9 % in "
    "1.": lambda: plot.frontier(["LeNet-5", "VGG-11"], [0.7, 38.0], [68.9, 90.6]),
    "Maps as pictures, a row a layer: early 2 of 3, 5 × 4.": lambda: plot.maps(
        {"early": np.arange(60).reshape(3, 4, 5)}, count=2
    ),
}


@pytest.mark.parametrize("text", DRAWN)
def test_every_figure_says_in_words_what_it_shows(text, pictures):
    DRAWN[text]()
    assert [image.metadata["alt"] for image in pictures] == [text]


def test_many_names_make_no_long_text(pictures):
    names = [f"class number {k}" for k in range(60)]
    plot.class_accuracy(np.full(60, 0.5), names)
    text = pictures[0].metadata["alt"]
    assert "class number 0 50.0" in text
    assert text.endswith("and 50 more.")
    assert len(text) <= 300


def test_the_text_is_the_alternative_text_of_a_web_page(pictures):
    plot.bars(["a < b"], [5], "images")
    plot.image_grid(IMAGES[:2])
    outputs = []
    formatter = InteractiveShell.instance().display_formatter
    for image in pictures:
        data, metadata = formatter.format(image)
        assert "<Figure" not in str(data)
        outputs.append(nbformat.v4.new_output("display_data", data, metadata=metadata))
    cell = nbformat.v4.new_code_cell("", outputs=outputs)
    book = nbformat.v4.new_notebook(cells=[cell])
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(book)
    assert 'alt="Bars, images: a &lt; b 5."' in page
    assert 'alt="2 images without captions."' in page


def test_a_notebooks_own_figure_comes_in_the_style_with_its_text(pictures, monkeypatch):
    monkeypatch.setitem(plt.rcParams, "text.usetex", True)  # as some styles set it
    before = dict(plt.rcParams)
    with plot.drawing("A line from 1 to 2."):
        plt.plot([1, 2])
        figure = plt.gcf()
        assert figure.axes[0].xaxis.label.get_color() == plot.INK
        assert not plt.rcParams["text.usetex"]
    assert [image.metadata["alt"] for image in pictures] == ["A line from 1 to 2."]
    assert dict(plt.rcParams) == before
    size = Image.open(BytesIO(pictures[0].data)).size
    assert np.allclose(size, 100 * figure.get_size_inches(), atol=25), "100 pixels an inch"


def test_a_program_shows_its_figure_as_ever(shown):
    with plot.drawing("A line from 1 to 2."):
        plt.plot([1, 2])
    assert len(shown) == 1


def stop_in_the_middle(error):
    with plot.drawing("Nothing."):
        plt.subplots()
        raise error


def fail_while_showing():
    with plot.drawing("What cannot be saved."):
        plt.figure().savefig = lambda *_, **__: 1 / 0


@pytest.mark.parametrize(
    ("error", "draw"),
    [
        (ValueError, lambda: stop_in_the_middle(ValueError)),
        (KeyboardInterrupt, lambda: stop_in_the_middle(KeyboardInterrupt)),
        (ZeroDivisionError, fail_while_showing),
        (ValueError, lambda: plot.lines([1, 2], {"a": [1, 2, 3]}, "epoch", "loss")),
    ],
)
def test_an_error_leaves_no_half_drawn_figure_open(pictures, error, draw):
    older = plt.figure()
    with pytest.raises(error):
        draw()
    assert plt.get_fignums() == [older.number]
    plt.close(older)
    assert pictures == []


def test_what_cannot_be_drawn_is_said(shown):
    with pytest.raises(plot.PlotError, match="folder"):
        plot.gallery([], [], CLASSES, [])
    with pytest.raises(plot.PlotError, match="train"):
        plot.curves(SimpleNamespace(**{name: [] for name in HISTORY}))
    with pytest.raises(plot.PlotError, match="uint8"):
        plot.image_grid(torch.zeros(2, 3, 8, 8))

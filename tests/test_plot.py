"""The figures, looked at through their artists: what is drawn, in which colour and with which words."""

from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
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
    """The figures that plt.show() was called for, each drawn once, in a notebook with a dark theme."""
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
    plot.lines(range(1, 21), {"a": range(20)}, "epoch", "y")
    assert all(tick.is_integer() for tick in shown[3].axes[0].get_xticks())


def test_images_are_shown_as_one_jpeg_in_a_notebook(monkeypatch):
    given = []
    monkeypatch.setattr(plt, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    monkeypatch.setattr("IPython.display.display", given.append)
    plot.image_grid(IMAGES)
    assert [image.data[:2] for image in given] == [b"\xff\xd8"]
    assert not plt.get_fignums(), "a figure left open would be shown a second time"


def test_what_cannot_be_drawn_is_said(shown):
    with pytest.raises(plot.PlotError, match="folder"):
        plot.gallery([], [], CLASSES, [])
    with pytest.raises(plot.PlotError, match="train"):
        plot.curves(SimpleNamespace(**{name: [] for name in HISTORY}))
    with pytest.raises(plot.PlotError, match="uint8"):
        plot.image_grid(torch.zeros(2, 3, 8, 8))

"""The figures, looked at through their artists: what is drawn, where, in which colour and with which words."""

import ast
import io
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.cbook import get_sample_data
from matplotlib.colors import to_rgb
from PIL import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

from utils import plot  # noqa: E402

pytestmark = pytest.mark.filterwarnings("error")  # a missing glyph, a layout that does not fit

CLASSES = ("cat", "dog", "$5 and $6")
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), np.uint8)
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])
PROBABILITIES = np.full((9, 3), 0.01)
PROBABILITIES[np.arange(9), [0, 1, 2, 0, 1, 2, 1, 0, 0]] = 0.98  # the last three are wrong
HISTORY = SimpleNamespace(
    train_loss=[2.0, 1.5, 1.25],
    test_loss=[2.25, 1.75, 1.5],
    train_accuracy=[0.25, 0.5, 0.625],
    test_accuracy=[0.125, 0.375, 0.5],
    learning_rate=[0.1, 0.05, 0.0],
)
ONE_EPOCH = SimpleNamespace(**{name: values[:1] for name, values in vars(HISTORY).items()})

EVERY_FIGURE = {
    "image_grid": lambda: plot.image_grid(IMAGES, columns=4),
    "image_grid with titles": lambda: plot.image_grid(IMAGES, [CLASSES[k] for k in LABELS]),
    "no picture": lambda: plot.image_grid([]),
    "classes_grid": lambda: plot.classes_grid(IMAGES, LABELS, CLASSES),
    "class_counts": lambda: plot.class_counts({"train": LABELS, "test": LABELS[:4]}, CLASSES),
    "augmentations": lambda: plot.augmentations(IMAGES[0], IMAGES[1:]),
    "predictions": lambda: plot.predictions(IMAGES, LABELS, PROBABILITIES, CLASSES),
    "mistakes": lambda: plot.mistakes(IMAGES, LABELS, PROBABILITIES, CLASSES, [8, 6]),
    "prediction": lambda: plot.prediction(IMAGES[0], IMAGES[1], CLASSES, PROBABILITIES[0]),
    "curves": lambda: plot.curves(HISTORY),
    "curves, one epoch": lambda: plot.curves(ONE_EPOCH),
    "compare_curves": lambda: plot.compare_curves({"a": HISTORY, "b": ONE_EPOCH}),
    "class_accuracy": lambda: plot.class_accuracy([1.0, np.nan, 0.0], CLASSES, overall=0.5),
    "confusion": lambda: plot.confusion([[4, 1, 0], [0, 0, 0], [2, 2, 2]], CLASSES),
    "bars": lambda: plot.bars(["a", "b"], [1.5, 20], "time, ms"),
    "lines": lambda: plot.lines([1, 2], {"a": [1, 2], "b": [3, 4]}, "x, m", "y, s", log_x=True, log_y=True),
    "points": lambda: plot.points(["a", "b"], [10, 1000], [0.5, 0.75], "cost", "accuracy", log_x=True),
    "planes": lambda: plot.planes({"a": np.zeros((4, 2)), "b": np.eye(2)}),
}


@pytest.fixture
def shown(monkeypatch):
    """The figures that plt.show() was called for, each drawn once."""
    figures = []

    def show() -> None:
        plt.gcf().canvas.draw()
        figures.append(plt.gcf())

    monkeypatch.setattr(plt, "show", show)
    yield figures
    plt.close("all")


def pictures(figure) -> list:
    """The pictures of a figure: (left, top, width, pixels)."""
    found = []
    for drawn in figure.axes[0].images:
        left, right, bottom, top = drawn.get_extent()
        assert right - left == bottom - top  # these are all square
        found.append((left, top, right - left, np.asarray(drawn.get_array())))
    return found


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def contrast(one, other) -> float:
    """The contrast ratio of two colours, 1 to 21 (WCAG 2.1, section 1.4.3)."""
    lights = []
    for colour in (one, other):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        lights.append(np.dot(linear, (0.2126, 0.7152, 0.0722)))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


# --- every figure -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", EVERY_FIGURE.values(), ids=EVERY_FIGURE)
def test_every_figure_is_shown_once_fits_a_laptop_and_returns_nothing(draw, shown):
    assert draw() is None
    assert len(shown) == len(plt.get_fignums()) == 1
    figure = shown[0]
    width, height = figure.get_size_inches()
    assert width <= 10
    assert height <= 10
    assert figure.dpi == 100
    assert to_rgb(figure.get_facecolor()) == (1, 1, 1)
    assert figure.get_facecolor()[3] == 1
    assert all(axes.get_title() == "" for axes in figure.axes) or draw is EVERY_FIGURE["planes"]


def test_every_public_function_is_among_them():
    tree = ast.parse(Path(plot.__file__).read_text(encoding="utf-8"))
    public = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"}
    assert {name.split(" ")[0].strip(",") for name in EVERY_FIGURE} - {"no"} == public


def test_it_imports_nothing_of_the_course_and_only_matplotlib_to_draw():
    tree = ast.parse(Path(plot.__file__).read_text(encoding="utf-8"))
    names = [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    names += [alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names]
    drawing = {"matplotlib", "numpy", "PIL", "IPython"}  # IPython shows what was drawn
    assert {name.split(".")[0] for name in names} == {"collections", "io", "typing"} | drawing


def test_a_readers_dark_style_stays_theirs_and_out_of_the_figure(shown):
    with plt.style.context("dark_background"):
        before = dict(plt.rcParams)
        plot.curves(HISTORY)
        assert dict(plt.rcParams) == before
    axes = shown[0].axes[0]
    assert to_rgb(axes.get_facecolor()) == (1, 1, 1)
    for text in (axes.xaxis.label, axes.get_xticklabels()[0], axes.get_legend().get_texts()[0]):
        assert contrast(text.get_color(), "white") > 10


def test_the_figures_of_a_notebook_stay_below_a_megabyte(monkeypatch):
    """Saved as Jupyter does; noise, which no format compresses, stands for the small pictures."""
    sizes = []

    def show() -> None:
        figure, file = plt.gcf(), io.BytesIO()
        figure.savefig(file, format="png", bbox_inches="tight")
        assert Image.open(file).width <= 1000
        sizes.append(len(file.getvalue()) * 4 / 3)  # base64
        plt.close(figure)

    monkeypatch.setattr(plt, "show", show)
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (24, 3, 32, 32), np.uint8)
    with Image.open(
        get_sample_data("grace_hopper.jpg", asfileobj=False)
    ) as file:  # a portrait, comes with matplotlib
        photo = file.convert("RGB").crop((0, 0, 512, 400))
    labels, probabilities = generator.integers(0, 10, 24), generator.dirichlet(np.ones(10), 24)
    classes = [f"class {k}" for k in range(10)]
    plot.curves(HISTORY)
    plot.class_accuracy(np.linspace(0, 1, 10), classes, 0.5)
    plot.confusion(generator.integers(1, 1000, (10, 10)), classes)
    plot.predictions(noise, labels, probabilities, classes)
    plot.mistakes(noise, labels, probabilities, classes, range(12))
    plot.prediction(photo, noise[0], classes, probabilities[0])
    plot.prediction(photo, noise[1], classes, probabilities[1])
    assert len(sizes) == 7
    assert sum(sizes) < 900_000  # the rest is for text and the notebook's own experiment


# --- pictures -----------------------------------------------------------------------------------------------


def test_any_layout_of_pictures_is_drawn_alike(shown):
    channels_first = torch.from_numpy(IMAGES).permute(0, 3, 1, 2)
    for images in (
        IMAGES,
        channels_first,
        list(channels_first),
        [Image.fromarray(image) for image in IMAGES],
    ):
        plot.image_grid(images)
    for figure in shown:
        for (*_, pixels), expected in zip(pictures(figure), IMAGES, strict=True):
            assert (pixels == expected).all()


def test_grey_pictures_of_any_layout_keep_their_shades(shown):
    grey = 100 + IMAGES[:2, :, :, 0] // 4
    as_pil = [Image.fromarray(image) for image in grey]
    for images in (grey[:, None], grey[..., None], torch.from_numpy(grey)[:, None], as_pil, list(grey)):
        plot.image_grid(images)
    for figure in shown:
        for drawn, expected in zip(figure.axes[0].images, grey, strict=True):
            assert (drawn.get_array() == expected).all()
            assert drawn.get_clim() == (0, 255)  # not stretched to the darkest and lightest pixel
            assert drawn.get_cmap().name == "gray"


def test_a_tensor_on_a_device_or_with_a_gradient_is_fetched(shown):
    class OnDevice:
        """Like a tensor of a GPU: NumPy cannot read it before .cpu()."""

        def __init__(self, tensor):
            self.tensor = tensor

        def __array__(self, *_):
            raise TypeError("can't convert cuda:0 device type tensor to numpy")

        def detach(self):
            return self

        def cpu(self):
            return self.tensor

    plot.class_accuracy(OnDevice(torch.tensor([0.5, 0.25, 1.0])), CLASSES)
    plot.class_accuracy(torch.tensor([0.5, 0.25, 1.0], requires_grad=True), CLASSES)
    for figure in shown:
        assert [bar.get_width() for bar in figure.axes[0].patches] == [50, 25, 100]


def test_image_grid_places_pictures_row_by_row_in_whole_pixels(shown):
    plot.image_grid(IMAGES, columns=4)
    places = [(left, top) for left, top, *_ in pictures(shown[0])]
    columns, rows = sorted({x for x, _ in places}), sorted({y for _, y in places})
    assert len(columns) == 4
    assert places == [(columns[i % 4], rows[i // 4]) for i in range(9)]
    assert {size for _, _, size, _ in pictures(shown[0])} == {128}  # 4 x 32
    assert all(drawn.get_interpolation() == "nearest" for drawn in shown[0].axes[0].images)
    width, height = 100 * shown[0].get_size_inches()
    assert shown[0].axes[0].get_xlim() == (0, pytest.approx(width))  # the axes count pixels, downwards
    assert shown[0].axes[0].get_ylim() == (pytest.approx(height), 0)


@pytest.mark.parametrize(("pixels", "size"), [(32, 96), (28, 84), (8, 96), (224, 96), (97, 96)])
def test_ten_columns_leave_room_for_a_multiple_of_common_sizes(pixels, size, shown):
    plot.image_grid(np.zeros((10, 3, pixels, pixels), np.uint8))
    assert {drawn[2] for drawn in pictures(shown[0])} == {size}
    smooth = pixels > size  # a picture that shrinks is averaged and not thinned out
    assert shown[0].axes[0].images[0].get_interpolation() == ("hanning" if smooth else "nearest")


def test_a_wide_picture_keeps_its_proportions_and_stays_in_its_square(shown):
    plot.image_grid([np.zeros((16, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)])
    (left, right, bottom, top), square = (drawn.get_extent() for drawn in shown[0].axes[0].images)
    assert (right - left) == 4 * (bottom - top)
    assert right - left == square[1] - square[0]
    assert (bottom + top) / 2 == (square[2] + square[3]) / 2


def test_titles_stand_below_their_pictures(shown):
    plot.image_grid(IMAGES[:3], ["one", "two", "$x$ three"])
    axes = shown[0].axes[0]
    assert texts(axes) == ["one", "two", "$x$ three"]
    assert not any(text.get_parse_math() for text in axes.texts)
    for text, (left, top, size, _) in zip(axes.texts, pictures(shown[0]), strict=True):
        assert text.get_position() == (left + size / 2, top + size + 4)


def test_classes_grid_has_a_row_for_each_class_and_says_when_it_is_empty(shown):
    labels = np.array([2, 0, 2, 0, 0, 2, 0, 2, 0])  # no dogs
    plot.classes_grid(IMAGES, labels, CLASSES, per_class=3)
    axes, drawn = shown[0].axes[0], pictures(shown[0])
    assert texts(axes) == ["cat", "dog", "no images", "$5 and $6"]
    assert [np.argwhere((pixels == IMAGES).all((1, 2, 3))).item() for *_, pixels in drawn] == [
        1,
        3,
        4,
        0,
        2,
        5,
    ]
    rows = [top for _, top, *_ in drawn]
    assert rows[0] == rows[1] == rows[2] < rows[3] == rows[4] == rows[5]
    heights = [text.get_position()[1] for text in axes.texts]
    assert heights[0] == rows[0] + drawn[0][2] / 2
    assert heights[1] == heights[2] == (heights[0] + heights[3]) / 2
    right_edge = axes.texts[0].get_position()[0]
    assert all(left > right_edge for left, *_ in drawn)


def test_augmentations_has_the_original_left_of_all_variants(shown):
    plot.augmentations(torch.from_numpy(IMAGES[0]).permute(2, 0, 1), IMAGES[1:6], columns=3)
    original, *variants = pictures(shown[0])
    assert (original[3] == IMAGES[0]).all()
    assert [(v[3] == image).all() for v, image in zip(variants, IMAGES[1:6], strict=True)] == [True] * 5
    assert min(left for left, *_ in variants) > original[0] + original[2]
    assert sorted({top for _, top, *_ in variants}) == [original[1], original[1] + original[2] + 4]
    assert texts(shown[0].axes[0]) == ["original", "augmented"]


# --- answers ------------------------------------------------------------------------------------------------


def test_predictions_marks_right_and_wrong_by_colour_and_by_sign(shown):
    plot.predictions(IMAGES, LABELS, PROBABILITIES, CLASSES)
    axes = shown[0].axes[0]
    right = ["✓ cat", "✓ dog", "✓ $5 and $6"] * 2
    assert texts(axes) == [*right, "✗ dog\ntrue: cat", "✗ cat\ntrue: dog", "✗ cat\ntrue: $5 and $6"]
    expected = [to_rgb(plot.RIGHT)] * 6 + [to_rgb(plot.WRONG)] * 3
    assert [to_rgb(text.get_color()) for text in axes.texts] == expected
    assert [to_rgb(frame.get_edgecolor()) for frame in axes.patches] == expected
    for frame, (left, top, size, _) in zip(axes.patches, pictures(shown[0]), strict=True):
        assert not frame.get_clip_on()  # else the outermost edges would be thinner
        assert (frame.get_xy(), frame.get_width(), frame.get_height()) == ((left, top), size, size)


def test_right_and_wrong_read_well_on_white():
    assert contrast(plot.RIGHT, "white") >= 4.5  # WCAG 2.1 asks for this of small text
    assert contrast(plot.WRONG, "white") >= 4.5


def test_predictions_draws_the_first_count_only(shown):
    plot.predictions(torch.from_numpy(IMAGES), torch.from_numpy(LABELS), PROBABILITIES, CLASSES, count=7)
    drawn = pictures(shown[0])
    assert len(drawn) == 7
    assert (drawn[6][3] == IMAGES[6]).all()
    assert texts(shown[0].axes[0])[6].startswith("✗ dog")


def test_mistakes_come_in_the_order_given_with_their_probability(shown):
    probabilities = PROBABILITIES.copy()
    probabilities[8] = (0.9996, 0.0003, 0.0001)
    plot.mistakes(IMAGES, LABELS, probabilities, CLASSES, np.array([8, 6, 7]))
    assert texts(shown[0].axes[0]) == [
        "✗ cat 100.0 %\ntrue: $5 and $6",
        "✗ dog 98.0 %\ntrue: cat",
        "✗ cat 98.0 %\ntrue: dog",
    ]
    assert [(p[3] == IMAGES[i]).all() for p, i in zip(pictures(shown[0]), (8, 6, 7), strict=True)] == [
        True
    ] * 3


def test_long_class_names_are_cut_before_they_run_into_each_other(shown):
    names = ("Staffordshire bull terrier", "Cardigan Welsh corgi", "Rhodesian ridgeback")
    plot.predictions(IMAGES[1:], LABELS[1:], PROBABILITIES[1:], names)  # a full row of 8
    plot.image_grid(np.tile(IMAGES[:5], (2, 1, 1, 1)), [names[0]] * 10)
    assert texts(shown[0].axes[0])[5] == "✗ Cardigan Wels…\ntrue: Staffords…"
    for figure in shown:
        boxes = [text.get_window_extent() for text in figure.axes[0].texts]
        assert all(left.x1 < right.x0 for left, right in zip(boxes, boxes[1:], strict=False))


def test_no_mistakes_is_said_and_not_an_error(shown):
    plot.mistakes(IMAGES, LABELS, PROBABILITIES, CLASSES, np.flatnonzero(np.zeros(9)))
    assert texts(shown[0].axes[0]) == ["There is no picture to show."]


def test_prediction_shows_both_pictures_and_the_likeliest_class_on_top(shown):
    photo = Image.new("RGB", (640, 480), "red")
    plot.prediction(photo, IMAGES[0], CLASSES, [0.125, 0.25, 0.625])
    left, middle, right = shown[0].axes
    assert left.images[0].get_array().shape == (480, 640, 3)
    assert left.get_xlabel() == "the picture, 640 × 480"
    assert (middle.images[0].get_array() == IMAGES[0]).all()
    assert middle.images[0].get_interpolation() == "nearest"
    assert middle.get_xlabel() == "what the network sees, 32 × 32"
    assert [bar.get_width() for bar in right.patches] == [62.5, 25, 12.5]
    assert [label.get_text() for label in right.get_yticklabels()] == ["$5 and $6", "dog", "cat"]
    assert texts(right) == ["62.5", "25.0", "12.5"]
    heights = [right.transData.transform((0, tick))[1] for tick in right.get_yticks()]
    assert heights == sorted(heights, reverse=True)  # the first is the topmost on the page
    assert right.get_xlabel() == "probability, %"
    assert right.get_xlim()[0] == 0


def test_prediction_of_many_classes_keeps_the_top(shown):
    probabilities = np.arange(1, 101) / 5050
    plot.prediction(IMAGES[0], IMAGES[0], [f"c{k}" for k in range(100)], probabilities, top=5)
    labels = [label.get_text() for label in shown[0].axes[2].get_yticklabels()]
    assert labels == ["c99", "c98", "c97", "c96", "c95"]


# --- results ------------------------------------------------------------------------------------------------


def test_class_counts_counts_each_split(shown):
    plot.class_counts({"train": LABELS, "test": torch.tensor([0, 0, 1])}, CLASSES)
    axes = shown[0].axes[0]
    train, test = axes.containers
    assert [bar.get_width() for bar in train] == [3, 3, 3]
    assert [bar.get_width() for bar in test] == [2, 1, 0]
    assert texts(axes) == ["3", "3", "3", "2", "1", "0"]
    assert [text.get_text() for text in shown[0].legends[0].get_texts()] == ["train", "test"]
    assert axes.get_xlabel() == "images"
    assert train[0].get_facecolor() != test[0].get_facecolor()
    assert train[0].get_y() < test[0].get_y() < train[1].get_y()  # one class's bars stand together


def test_curves_draws_the_lists_it_was_given(shown):
    plot.curves(HISTORY)
    loss, accuracy, rate = shown[0].axes
    assert [axes.get_ylabel() for axes in shown[0].axes] == ["loss", "accuracy, %", "learning rate"]
    assert [axes.get_xlabel() for axes in shown[0].axes] == ["epoch"] * 3
    drawn = {
        (axes.get_ylabel(), line.get_label()): line.get_ydata().tolist()
        for axes in (loss, accuracy)
        for line in axes.lines
    }
    assert drawn == {
        ("loss", "train"): [2.0, 1.5, 1.25],
        ("loss", "test"): [2.25, 1.75, 1.5],
        ("accuracy, %", "train"): [25, 50, 62.5],
        ("accuracy, %", "test"): [12.5, 37.5, 50],
    }
    assert rate.lines[0].get_ydata().tolist() == [0.1, 0.05, 0.0]
    for axes in shown[0].axes:
        assert all(list(line.get_xdata()) == [1, 2, 3] for line in axes.lines)
    for axes in (loss, accuracy):
        train, test = axes.lines
        assert train.get_color() != test.get_color()
        assert train.get_marker() != test.get_marker()
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["train", "test"]


@pytest.mark.parametrize("epochs", [1, 2, 5, 30])
def test_epochs_are_whole_numbers_and_every_point_is_inside(epochs, shown):
    plot.curves(SimpleNamespace(**{name: [0.5] * epochs for name in vars(HISTORY)}))
    for axes in shown[0].axes:
        low, high = axes.get_xlim()
        assert low < 1
        assert high > epochs
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert 1 <= len(ticks) <= 8
        assert all(tick == round(tick) and 0 < tick <= epochs for tick in ticks)


def test_one_epoch_shows_as_points(shown):
    plot.curves(ONE_EPOCH)
    for axes in shown[0].axes:
        for line in axes.lines:
            assert line.get_marker() not in ("", "None", None)
            assert axes.viewLim.contains(line.get_xdata()[0], line.get_ydata()[0])


def test_curves_takes_gaps(shown):
    plot.curves(SimpleNamespace(**{**vars(HISTORY), "test_loss": [None, float("nan"), 1.5]}))
    assert np.isnan(shown[0].axes[0].lines[1].get_ydata()).tolist() == [True, True, False]


def test_compare_curves_names_each_run_with_its_last_accuracy(shown):
    longer = SimpleNamespace(test_accuracy=[0.2, 0.4, 0.6, 0.9, 0.801])
    plot.compare_curves({"MobileNet v2": HISTORY, "alpha = 0.5": longer})
    axes = shown[0].axes[0]
    assert [line.get_ydata().tolist() for line in axes.lines] == [
        [12.5, 37.5, 50],
        [20, 40, 60, 90, pytest.approx(80.1)],
    ]
    legend = [text.get_text() for text in shown[0].legends[0].get_texts()]
    assert legend == ["MobileNet v2: 50.0 %", "alpha = 0.5: 80.1 %"]
    assert axes.get_xlim()[1] > 5
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "test accuracy, %")


def test_class_accuracy_writes_every_value_and_the_overall_line(shown):
    plot.class_accuracy([0.5, 0.875, 1.0], CLASSES, overall=0.75)
    axes = shown[0].axes[0]
    assert [bar.get_width() for bar in axes.patches[:3]] == [50, 87.5, 100]
    assert texts(axes) == ["50.0", "87.5", "100.0"]
    assert list(axes.lines[0].get_xdata()) == [75, 75]
    assert shown[0].legends[0].get_texts()[0].get_text() == "all classes: 75.0 %"
    assert axes.get_xlabel() == "accuracy, %"
    assert all(text.get_zorder() > axes.lines[0].get_zorder() for text in axes.texts)


def test_class_accuracy_of_a_class_without_images(shown):
    plot.class_accuracy([np.nan, 0.25, 0.5], CLASSES, ordered=True)
    axes = shown[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["$5 and $6", "dog", "cat"]
    assert texts(axes) == ["50.0", "25.0", "no images"]
    assert [bar.get_width() for bar in axes.patches[:3]] == [50, 25, 0]
    assert not axes.lines
    assert not shown[0].legends


def test_confusion_shades_by_row_and_writes_percent_or_counts(shown):
    matrix = [[90, 10, 0], [0, 0, 0], [1, 1, 2]]
    plot.confusion(matrix, CLASSES)
    plot.confusion(matrix, CLASSES, percent=False)
    for figure, numbers in zip(
        shown, (["90.0", "10.0", "25.0", "25.0", "50.0"], ["90", "10", "1", "1", "2"]), strict=True
    ):
        axes = figure.axes[0]
        shades = np.asarray(axes.collections[0].get_array()).reshape(3, 3)
        assert shades**2 == pytest.approx(np.array([[0.9, 0.1, 0], [0, 0, 0], [0.25, 0.25, 0.5]]))
        assert texts(axes) == numbers
        places = [text.get_position() for text in axes.texts]  # (predicted, true)
        assert places == [(0, 0), (1, 0), (0, 2), (1, 2), (2, 2)]
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
        assert [t.get_text() for t in axes.get_xticklabels()] == list(CLASSES)
        assert [t.get_text() for t in axes.get_yticklabels()] == ["cat", "dog (no images)", "$5 and $6"]
        assert axes.get_ylim() == (2.5, -0.5)  # the first true class on top


def test_numbers_in_the_confusion_matrix_are_legible_on_every_shade(shown):
    for part in (np.linspace(1, 50, 20), np.linspace(40, 50, 20)):  # the second: where the text turns white
        matrix = np.zeros((20, 20))
        matrix[:, 0], matrix[:, 1] = part, 100 - part
        plot.confusion(matrix, [str(i) for i in range(20)])
    for figure in shown:
        axes = figure.axes[0]
        colours = axes.collections[0].get_facecolors().reshape(20, 20, 4)
        assert len(axes.texts) == 40
        assert {text.get_color() for text in axes.texts} == {"white", plot.INK}
        for text in axes.texts:
            column, row = text.get_position()
            assert contrast(text.get_color(), colours[int(row), int(column)]) > 3.5


def test_a_large_confusion_matrix_is_drawn_without_numbers(shown):
    plot.confusion(np.eye(21), [f"c{k}" for k in range(21)])
    assert texts(shown[0].axes[0]) == []
    assert max(shown[0].get_size_inches()) <= 10


# --- experiments --------------------------------------------------------------------------------------------


def test_bars_write_their_values_first_name_on_top(shown):
    plot.bars(["full", "depthwise", "both"], [11_263_042, 99.96, 0.012345], "parameters")
    axes = shown[0].axes[0]
    assert [bar.get_width() for bar in axes.patches] == [11_263_042, 99.96, 0.012345]
    assert texts(axes) == ["11,263,042", "100", "0.0123"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["full", "depthwise", "both"]
    heights = [axes.transData.transform((0, tick))[1] for tick in axes.get_yticks()]
    assert heights == sorted(heights, reverse=True)
    assert axes.get_xlabel() == "parameters"
    assert not shown[0].legends


def test_bars_of_nine_series_are_all_drawn_without_overlap(shown):
    plot.bars(["a", "b"], {k: [k, 10 * k] for k in range(1, 10)}, "time, ms", log=True)
    axes = shown[0].axes[0]
    assert axes.get_xscale() == "log"
    assert sorted(bar.get_width() for bar in axes.patches) == sorted([*range(1, 10), *range(10, 100, 10)])
    edges = sorted((bar.get_y(), bar.get_y() + bar.get_height()) for bar in axes.patches)
    assert all(high <= low + 1e-9 for (_, high), (low, _) in zip(edges, edges[1:], strict=False))
    assert len(shown[0].legends[0].get_texts()) == 9


def test_lines_draws_each_series_against_x(shown):
    plot.lines([1, 10, 100], {"full": [1, 4, 16], "depthwise": [1, 2, 4]}, "channels", "time, ms", log_y=True)
    axes = shown[0].axes[0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[1, 10, 100]] * 2
    assert [list(line.get_ydata()) for line in axes.lines] == [[1, 4, 16], [1, 2, 4]]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("channels", "time, ms")
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    assert [text.get_text() for text in shown[0].legends[0].get_texts()] == ["full", "depthwise"]


def test_lines_with_an_x_for_each_series(shown):
    plot.lines({"width": [1, 2], "depth": [3, 4, 5]}, {"width": [7, 8], "depth": [9, 8, 7]}, "x", "y")
    assert [list(line.get_xdata()) for line in shown[0].axes[0].lines] == [[1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("x", "log", "expected"),
    [
        ([1, 60], True, ["1", "2", "5", "10", "20", "50"]),
        ([0.001, 0.1], True, ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1"]),
        ([10, 10_000_000], True, ["10", "100", "1,000", "10,000", "100,000", "1 M", "10 M"]),
        ([0, 4000], False, ["0", "1,000", "2,000", "3,000", "4,000"]),
        ([0, 60_000_000], False, ["0", "10 M", "20 M", "30 M", "40 M", "50 M", "60 M"]),
    ],
)
def test_axes_carry_plain_numbers(x, log, expected, shown):
    plot.lines(x, {"a": [1, 2]}, "x", "y", log_x=log)
    axes = shown[0].axes[0]
    low, high = axes.get_xlim()
    labels = [t.get_text() for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
    assert [label for label in labels if label in expected] == expected
    assert len(labels) <= 2 * len(expected)
    assert not any("$" in label or "e+" in label for label in labels)
    assert not shown[0].legends


def test_no_two_of_many_lines_look_alike(shown):
    plot.lines([0, 1], {k: [k, k + 1] for k in range(20)}, "x", "y")
    looks = {(line.get_color(), line.get_linestyle()) for line in shown[0].axes[0].lines}
    assert len(looks) == 20


def test_markers_leave_when_points_would_merge(shown):
    plot.lines(range(60), {"a": range(60)}, "x", "y")
    plot.lines(range(256), {"a": range(256)}, "x", "y")
    few, many = (figure.axes[0].lines[0].get_marker() for figure in shown)
    assert few == "o"
    assert many in ("", "None", None)


def test_points_stand_at_their_numbers_with_their_names(shown):
    plot.points(["small", "large"], [10, 1000], [0.5, 0.75], "cost, M", "accuracy", log_x=True)
    axes = shown[0].axes[0]
    assert axes.collections[0].get_offsets().tolist() == [[10, 0.5], [1000, 0.75]]
    assert [(t.get_text(), *t.xy) for t in axes.texts] == [("small", 10, 0.5), ("large", 1000, 0.75)]
    assert (axes.get_xscale(), axes.get_xlabel(), axes.get_ylabel()) == ("log", "cost, M", "accuracy")
    inside = axes.get_window_extent()
    assert all(
        inside.x0 <= t.get_window_extent().x0 and t.get_window_extent().x1 <= inside.x1 for t in axes.texts
    )


def test_planes_gives_each_set_a_panel(shown):
    sets = {f"{n} dimensions": np.random.default_rng(n).normal(size=(50, 2)) for n in range(5)}
    plot.planes(sets, columns=3)
    panels = [axes for axes in shown[0].axes if axes.collections]
    assert len(panels) == 5
    for axes, (name, points) in zip(panels, sets.items(), strict=True):
        assert axes.get_title() == name
        assert np.allclose(axes.collections[0].get_offsets(), points)
        assert axes.collections[0].get_array().tolist() == list(range(50))


# --- what does not fit ------------------------------------------------------------------------------------------

EMPTY = SimpleNamespace(**{name: [] for name in vars(HISTORY)})
UNEQUAL = SimpleNamespace(**{**vars(HISTORY), "test_loss": [1.0]})


@pytest.mark.parametrize(
    ("draw", "words"),
    [
        (lambda: plot.image_grid(IMAGES[0]), r"\[N, H, W, C\] or \[N, C, H, W\], not \[32, 32, 3\]"),
        (lambda: plot.image_grid(IMAGES / 255.0), "uint8.*not float64"),
        (lambda: plot.image_grid(torch.zeros(2, 3, 8, 8)), "uint8.*not float32"),
        (lambda: plot.image_grid(np.zeros((2, 4, 8, 8), np.uint8)), r"C = 1 or 3, not \[4, 8, 8\]"),
        (lambda: plot.image_grid(np.zeros((1, 0, 8, 3), np.uint8)), r"not \[0, 8, 3\]"),
        (lambda: plot.image_grid(IMAGES, ["one"]), "9 images, 1 titles"),
        (lambda: plot.classes_grid(IMAGES, LABELS[:5], CLASSES), "9 images, 5 labels"),
        (lambda: plot.classes_grid(IMAGES, LABELS + 1, CLASSES), "between 0 and 2, not 1 and 3"),
        (lambda: plot.classes_grid(IMAGES, LABELS / 2, CLASSES), r"integers \[N\], not float64"),
        (lambda: plot.class_counts({"train": [0, 7]}, CLASSES), "labels of train must lie between 0 and 2"),
        (lambda: plot.class_counts({}, CLASSES), "at least one"),
        (lambda: plot.augmentations(IMAGES, IMAGES), r"not \[9, 32, 32, 3\]"),
        (lambda: plot.predictions(IMAGES, LABELS, PROBABILITIES[:, :2], CLASSES), r"\[N, 3\], not \[9, 2\]"),
        (lambda: plot.predictions(IMAGES, LABELS, PROBABILITIES[:4], CLASSES), "4 probabilities"),
        (lambda: plot.predictions(IMAGES, LABELS, 5 * PROBABILITIES, CLASSES), "softmax"),
        (
            lambda: plot.mistakes(IMAGES, LABELS, PROBABILITIES, CLASSES, [9]),
            "indices must lie between 0 and 8",
        ),
        (lambda: plot.prediction(IMAGES[0], IMAGES[0], CLASSES, [0.5, 0.5]), r"\[N, 3\], not \[1, 2\]"),
        (lambda: plot.curves(EMPTY), "train the network first"),
        (lambda: plot.curves(UNEQUAL), "3 train_loss, 1 test_loss"),
        (lambda: plot.compare_curves({}), "at least one"),
        (lambda: plot.compare_curves({"VGG": EMPTY}), "no epoch of VGG"),
        (lambda: plot.class_accuracy([0.5, 1.0], CLASSES), "2 accuracies, 3 classes"),
        (lambda: plot.class_accuracy(np.eye(3), CLASSES), r"accuracies must be \[N\], not \[3, 3\]"),
        (lambda: plot.confusion(np.eye(2), CLASSES), r"matrix must be \[3, 3\], not \[2, 2\]"),
        (lambda: plot.bars(["a"], [1, 2], "x"), "1 names, 2 values"),
        (lambda: plot.bars(["a"], {}, "x"), "at least one"),
        (lambda: plot.lines([1, 2], {"VGG": [1, 2, 3]}, "x", "y"), "2 x, 3 VGG"),
        (lambda: plot.lines([[1, 2]], {"VGG": [1, 2]}, "x", "y"), r"x must be \[N\], not \[1, 2\]"),
        (lambda: plot.planes({"a": np.eye(3)}), r"a must be \[N, 2\], not \[3, 3\]"),
    ],
)
def test_input_that_does_not_fit_is_one_sentence_and_shows_nothing(draw, words, shown):
    with pytest.raises(ValueError, match=words) as caught:
        draw()
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message
    assert not shown


def test_photographs_are_shown_as_jpeg_in_a_notebook(monkeypatch):
    """There is no notebook here: the backend's name and IPython's display are stood in for."""
    given = []
    monkeypatch.setattr(plt, "get_backend", lambda: "module://matplotlib_inline.backend_inline")
    monkeypatch.setattr("IPython.display.display", given.append)
    plot.image_grid(np.zeros((4, 8, 8, 3), np.uint8))
    assert [image.data[:2] for image in given] == [b"\xff\xd8"], "one JPEG"
    assert not plt.get_fignums(), "a figure left open would be shown a second time"

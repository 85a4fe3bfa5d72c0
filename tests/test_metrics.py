"""The figures of merit, against examples worked out by hand and against slow, obvious loops."""

import math

import numpy as np
import pytest
import torch

from utils.metrics import confusion_matrix, most_confident_mistakes, per_class_accuracy

# Six images of three classes: both cats right, one dog of two taken for a cat, both birds for something else.
LABELS = [0, 0, 1, 1, 2, 2]
PREDICTIONS = [0, 0, 0, 1, 1, 0]
MATRIX = [[2, 0, 0], [1, 1, 0], [1, 1, 0]]


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    generator = np.random.default_rng(seed)
    images, classes = int(generator.integers(1, 200)), int(generator.integers(2, 12))
    probabilities = generator.dirichlet(np.full(classes, 0.3), size=images).round(
        2
    )  # rounded: there are ties
    return probabilities, generator.integers(0, classes, images), classes


def test_confusion_matrix_worked_by_hand():
    matrix = confusion_matrix(LABELS, PREDICTIONS, 3)
    assert matrix.tolist() == MATRIX
    assert matrix.dtype == np.int64


@pytest.mark.parametrize("seed", range(20))
def test_confusion_matrix_counts_pair_by_pair(seed):
    probabilities, labels, classes = random_case(seed)
    predictions = probabilities.argmax(axis=1)
    expected = np.zeros((classes, classes), int)
    for label, prediction in zip(labels, predictions, strict=True):
        expected[label, prediction] += 1
    matrix = confusion_matrix(labels, predictions, classes)
    assert (matrix == expected).all()
    assert np.trace(matrix) == (labels == predictions).sum()


@pytest.mark.parametrize(
    "convert",
    [list, tuple, np.asarray, torch.tensor, lambda v: np.array(v, np.uint8), lambda v: torch.tensor(v).int()],
)
def test_labels_come_as_lists_arrays_and_tensors(convert):
    assert confusion_matrix(convert(LABELS), convert(PREDICTIONS), 3).tolist() == MATRIX


def test_small_integer_types_do_not_overflow():
    labels = np.array([199, 3], np.uint8)
    matrix = confusion_matrix(labels, labels, 200)  # 199 * 200 is far beyond 255
    assert matrix[199, 199] == matrix[3, 3] == 1
    assert matrix.sum() == 2


def test_no_images_give_a_matrix_of_zeros():
    assert confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]


def test_per_class_accuracy_worked_by_hand():
    assert per_class_accuracy(MATRIX).tolist() == [1.0, 0.5, 0.0]


@pytest.mark.filterwarnings("error")
def test_a_class_without_images_is_nan_and_warns_of_nothing():
    accuracy = per_class_accuracy([[3, 1], [0, 0]])
    assert accuracy[0] == 0.75
    assert math.isnan(accuracy[1])


@pytest.mark.parametrize("seed", range(20))
def test_per_class_accuracy_class_by_class(seed):
    probabilities, labels, classes = random_case(seed)
    predictions = probabilities.argmax(axis=1)
    accuracy = per_class_accuracy(confusion_matrix(labels, predictions, classes))
    assert accuracy.shape == (classes,)
    for k in range(classes):
        of_class = [
            prediction == k for label, prediction in zip(labels, predictions, strict=True) if label == k
        ]
        expected = sum(of_class) / len(of_class) if of_class else math.nan
        assert accuracy[k] == pytest.approx(expected, nan_ok=True)


def test_overall_accuracy_weighs_images_and_not_classes():
    matrix = np.array([[90, 0], [5, 5]])
    shares = matrix.sum(axis=1) / matrix.sum()
    assert (per_class_accuracy(matrix) * shares).sum() == pytest.approx(0.95)  # the mean of classes is 0.75


def test_most_confident_mistakes_worked_by_hand():
    probabilities = [
        [0.9, 0.1, 0.0],  # right
        [0.2, 0.7, 0.1],  # wrong, 70 %
        [0.0, 0.0, 1.0],  # wrong, 100 %
        [0.4, 0.3, 0.3],  # wrong, 40 %
        [0.1, 0.7, 0.2],  # wrong, 70 %, later than the other
    ]
    labels = [0, 0, 1, 2, 2]
    assert most_confident_mistakes(probabilities, labels).tolist() == [2, 1, 4, 3]
    assert most_confident_mistakes(probabilities, labels, count=2).tolist() == [2, 1]
    assert most_confident_mistakes(probabilities, labels, count=0).tolist() == []
    assert most_confident_mistakes(torch.tensor(probabilities), torch.tensor(labels)).dtype == np.int64


@pytest.mark.parametrize("seed", range(20))
def test_most_confident_mistakes_against_sorting_all_of_them(seed):
    probabilities, labels, _ = random_case(seed)
    mistakes = [i for i in range(len(labels)) if int(np.argmax(probabilities[i])) != labels[i]]
    mistakes.sort(key=lambda i: -max(probabilities[i]))  # sort() keeps the order of equals
    for count in (0, 1, 12, 1000):
        assert most_confident_mistakes(probabilities, labels, count).tolist() == mistakes[:count]


def test_a_perfect_network_has_no_mistakes():
    found = most_confident_mistakes(np.eye(3), [0, 1, 2])
    assert found.shape == (0,)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: confusion_matrix([0, 1], [0], 2), "1 predictions for 2 labels"),
        (lambda: confusion_matrix([0, 2], [0, 1], 2), "labels must lie between 0 and 1"),
        (lambda: confusion_matrix([0, 1], [0, -1], 2), "predictions must lie between 0 and 1"),
        (lambda: confusion_matrix([0, 1], [0.0, 1.0], 2), "integers"),
        (lambda: confusion_matrix([0, 1], [[0.3, 0.7], [0.5, 0.5]], 2), r"\[N\], not \[2, 2\]"),
        (lambda: confusion_matrix([0, 1], [0, 1], ("cat", "dog")), "number of classes"),
        (lambda: confusion_matrix([], [], 0), "number of classes"),
        (lambda: per_class_accuracy([[1, 2, 3], [4, 5, 6]]), r"square.*\[2, 3\]"),
        (lambda: per_class_accuracy([1, 2]), "square"),
        (lambda: per_class_accuracy([[1, -2], [0, 3]]), "never negative"),
        (lambda: most_confident_mistakes([0.5, 0.5], [0, 1]), r"\[N, K\]"),
        (lambda: most_confident_mistakes([[0.5, 0.5]], [0, 1]), "2 labels for 1 rows"),
        (lambda: most_confident_mistakes([[0.5, 0.5]], [2]), "labels must lie between 0 and 1"),
        (lambda: most_confident_mistakes([[3.1, -2.0]], [0]), "softmax"),
        (lambda: most_confident_mistakes([[math.nan, 0.5]], [0]), "between 0 and 1"),
        (lambda: most_confident_mistakes([[0.5, 0.5]], [0], count=-1), "0 or more"),
    ],
)
def test_what_does_not_fit_is_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    message = str(caught.value)
    assert message.endswith(".")
    assert "\n" not in message

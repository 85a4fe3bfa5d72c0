"""The metrics, against examples worked out by hand and against slow, obvious loops."""

import math

import numpy as np
import pytest
import torch

from utils.metrics import (
    confusion_matrix,
    most_confident_mistakes,
    most_frequent_mistakes,
    per_class_accuracy,
)

# Six images of three classes: both cats right, one dog of two taken for a cat,
# both birds for something else.
LABELS = [0, 0, 1, 1, 2, 2]
PREDICTIONS = [0, 0, 0, 1, 1, 0]
MATRIX = [[2, 0, 0], [1, 1, 0], [1, 1, 0]]


@pytest.mark.parametrize("convert", [list, np.array, torch.tensor, lambda v: np.array(v, np.uint8)])
def test_confusion_matrix_worked_by_hand(convert):
    matrix = confusion_matrix(convert(LABELS), convert(PREDICTIONS), 3)
    assert matrix.tolist() == MATRIX
    assert matrix.dtype == np.int64


def test_a_class_that_there_is_not_is_an_error_and_not_another_cell():
    for labels, predictions in (([0], [2]), ([-1], [0])):
        with pytest.raises(ValueError, match="run from 0 to 1"):
            confusion_matrix(labels, predictions, 2)


def test_small_integer_types_do_not_overflow():
    labels = np.array([199, 3], np.uint8)
    matrix = confusion_matrix(labels, labels, 200)
    assert matrix[199, 199] == matrix[3, 3] == 1
    assert matrix.sum() == 2


@pytest.mark.filterwarnings("error")
def test_per_class_accuracy_worked_by_hand():
    assert per_class_accuracy(MATRIX).tolist() == [1.0, 0.5, 0.0]
    accuracy = per_class_accuracy([[3, 1], [0, 0]])  # no images of the second class
    assert accuracy[0] == 0.75
    assert math.isnan(accuracy[1])


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
    assert most_confident_mistakes(
        torch.tensor(probabilities), torch.tensor(labels), count=2
    ).tolist() == [
        2,
        1,
    ]
    assert most_confident_mistakes(np.eye(3), [0, 1, 2]).shape == (0,)


@pytest.mark.parametrize("seed", range(3))
def test_all_three_against_loops(seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.full(5, 0.3), size=100).round(2)  # rounded: there are ties
    labels = rng.integers(0, 4, 100)  # no image of the last class
    predictions = probabilities.argmax(axis=1)
    pairs = list(zip(labels.tolist(), predictions.tolist(), strict=True))

    matrix = confusion_matrix(labels, predictions, 5)
    assert matrix.tolist() == [[pairs.count((i, j)) for j in range(5)] for i in range(5)]
    for k, accuracy in enumerate(per_class_accuracy(matrix)):
        of_class = [guess == k for label, guess in pairs if label == k]
        assert accuracy == pytest.approx(
            sum(of_class) / len(of_class) if of_class else math.nan, nan_ok=True
        )
    mistakes = [i for i, (label, guess) in enumerate(pairs) if label != guess]
    mistakes.sort(key=lambda i: -max(probabilities[i]))  # sort() keeps the order of equals
    for count in (0, 1, 12, 1000):
        assert most_confident_mistakes(probabilities, labels, count).tolist() == mistakes[:count]


def test_most_frequent_mistakes_are_pairs_of_names_and_leave_out_what_is_right():
    matrix = [[90, 3, 7], [12, 80, 8], [0, 0, 100]]
    assert most_frequent_mistakes(matrix, ("cat", "dog", "ship"), count=2) == [
        (12, "dog", "cat"),
        (8, "dog", "ship"),
    ]
    assert most_frequent_mistakes([[5, 0], [0, 5]], ("cat", "dog")) == []

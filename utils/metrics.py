"""Figures of merit: confusion matrix, accuracy of each class, the mistakes a network was surest of.

Everything takes and returns NumPy arrays; lists and tensors on the CPU do as well.
"""

import numpy as np
from numpy.typing import ArrayLike


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike, classes: int) -> np.ndarray:
    """How often images of each true class were given each predicted class.

    labels, predictions: integers [N], each from 0 to classes - 1. Returns int64 [classes, classes]: the rows
    are the true classes, the columns the predicted ones, so that row k sums to the images of class k.
    ValueError for arrays of other shapes or types, or with a class outside the range.
    """
    if not isinstance(classes, (int, np.integer)) or classes < 1:
        raise ValueError(f"classes must be the number of classes, a positive integer, not {classes!r}.")
    labels = _class_indices("labels", labels, classes)
    predictions = _class_indices("predictions", predictions, classes)
    if len(labels) != len(predictions):
        raise ValueError(
            f"Give one prediction a label, not {len(predictions)} predictions for {len(labels)} labels."
        )
    cells = labels * classes + predictions  # each pair of classes has a number of its own
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def per_class_accuracy(matrix: ArrayLike) -> np.ndarray:
    """The share of each class's images that were recognised (also called the recall of the class).

    matrix: counts [K, K] as confusion_matrix returns them. Returns float64 [K], fractions from 0 to 1; nan for
    a class that has no images. ValueError if the matrix is not square or holds a negative count.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"A confusion matrix must be square, [K, K], not {list(matrix.shape)}.")
    if not (matrix >= 0).all():
        raise ValueError("A confusion matrix must hold counts, which are never negative.")
    right, images = np.diagonal(matrix), matrix.sum(axis=1)
    return np.divide(right, images, out=np.full(len(matrix), np.nan), where=images > 0)


def most_confident_mistakes(probabilities: ArrayLike, labels: ArrayLike, count: int = 12) -> np.ndarray:
    """The images whose wrong class was given the highest probability.

    probabilities: float [N, K], the softmax of the logits; labels: integers [N]. Returns int64 indices into
    them, most confident first: `count`, or fewer where the network made fewer mistakes. Of equally confident
    ones the earlier image comes first. ValueError for other shapes, and for probabilities outside 0 to 1.
    """
    probabilities = np.asarray(probabilities)
    if probabilities.ndim != 2 or probabilities.shape[1] == 0:
        raise ValueError(f"probabilities must be [N, K], one row an image, not {list(probabilities.shape)}.")
    labels = _class_indices("labels", labels, probabilities.shape[1])
    if len(labels) != len(probabilities):
        raise ValueError(f"Give one label a row, not {len(labels)} labels for {len(probabilities)} rows.")
    if not ((probabilities >= 0) & (probabilities <= 1.001)).all():
        raise ValueError("probabilities must lie between 0 and 1: take the softmax of the logits first.")
    if count < 0:
        raise ValueError(f"count must be 0 or more, not {count}.")
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    confidence = probabilities[wrong].max(axis=1)
    return wrong[np.argsort(-confidence, kind="stable")[:count]]


def _class_indices(name: str, values: ArrayLike, classes: int) -> np.ndarray:
    """Values as int64 [N], each from 0 to classes - 1."""
    values = np.asarray(values)
    if values.ndim != 1:
        raise ValueError(f"{name} must be a plain list of class indices, [N], not {list(values.shape)}.")
    if values.size and values.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, class indices, not {values.dtype}.")
    if values.size and not 0 <= values.min() <= values.max() < classes:
        raise ValueError(
            f"{name} must lie between 0 and {classes - 1}, but go from {values.min()} to {values.max()}."
        )
    return values.astype(np.int64)

"""Confusion matrix, accuracy of each class, the commonest mistakes and the surest ones."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def confusion_matrix(labels: ArrayLike, predictions: ArrayLike, classes: int) -> np.ndarray:
    """How often images of each true class were given each predicted class.

    labels, predictions: integers [N], each from 0 to classes - 1, else ValueError. Returns int64
    [classes, classes]: the rows are the true classes, the columns the predicted ones, so that row k
    sums to the images of class k.
    """
    pairs = (np.asarray(labels), np.asarray(predictions))
    for numbers in pairs:
        if numbers.size and (numbers.min() < 0 or numbers.max() >= classes):
            raise ValueError(
                f"Labels and predictions of {classes} classes run from 0 to {classes - 1}, not "
                f"from {numbers.min()} to {numbers.max()}: give the right number of classes."
            )
    cells = np.ravel_multi_index(pairs, (classes, classes))
    return np.bincount(cells, minlength=classes**2).reshape(classes, classes)


def per_class_accuracy(matrix: ArrayLike) -> np.ndarray:
    """The share of each class's images that were recognised (also called the recall of the class).

    matrix: counts [K, K] as confusion_matrix returns them. Returns float64 [K], fractions; nan for
    a class that has no images.
    """
    counts = np.asarray(matrix)
    right = np.diagonal(counts)
    images = counts.sum(axis=1)
    accuracy = np.full(len(images), np.nan)
    return np.divide(right, images, out=accuracy, where=images > 0)


def most_frequent_mistakes(
    matrix: ArrayLike, classes: Sequence[str], count: int = 3
) -> list[tuple[int, str, str]]:
    """Which class was taken for which other one most often: (images, true class, predicted class).

    matrix: counts [K, K] as confusion_matrix returns them; classes: K names. The most frequent one
    first: `count`, or fewer where there are fewer kinds. Of equally frequent ones the upper row of
    the matrix comes first.
    """
    mistakes = np.array(matrix)
    np.fill_diagonal(mistakes, 0)
    places = np.argsort(-mistakes, axis=None, kind="stable")[:count]
    found = []
    for true, predicted in zip(*np.unravel_index(places, mistakes.shape), strict=True):
        images = int(mistakes[true, predicted])
        if images > 0:
            found.append((images, classes[true], classes[predicted]))
    return found


def most_confident_mistakes(
    probabilities: ArrayLike, labels: ArrayLike, count: int = 12
) -> np.ndarray:
    """The images whose wrong class was given the highest probability.

    probabilities: float [N, K]; labels: integers [N]. Returns int64 indices into them, most
    confident first: `count`, or fewer where the network made fewer mistakes. Of equally confident
    ones the earlier comes first.
    """
    probabilities = np.asarray(probabilities)
    predictions = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predictions != np.asarray(labels))
    confidence = probabilities[wrong].max(axis=1)
    return wrong[np.argsort(-confidence, kind="stable")[:count]]

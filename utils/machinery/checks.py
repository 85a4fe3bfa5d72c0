"""What `train` refuses, and what it says: whether the parts of a training fit together, and why one stopped."""

from collections.abc import Iterable
from operator import length_hint
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler


class TrainingError(RuntimeError):
    """Training cannot start or go on; the sentence says why and what to do."""


CAUSES = {  # words of an error of PyTorch, and what to do
    "view size is not compatible": "use .flatten(1) in the network in place of .view(), which needs another order of values.",
    "exited unexpectedly": "a DataLoader's worker did not start: put its data set's class in a .py file, or num_workers=0.",
    "more than 1 value per channel": "batch norm cannot learn from a last batch of one image: leave it out (drop_last=True).",
    "finished reduction in the prior": "some weights have no part in the loss, which several processes need: freeze them.",
    "out of memory": "the memory is full: make the batches or the images smaller, and restart the notebook.",
    "allocate ": "the memory is full: make the batches or the images smaller, and restart the notebook.",
}


def steps_each_batch(scheduler: Any) -> bool:
    """Whether the scheduler counts batches (OneCycleLR, CyclicLR) and not epochs."""
    return isinstance(scheduler, lr_scheduler.OneCycleLR | lr_scheduler.CyclicLR)


def check_parts(net: nn.Module, loaders: Iterable, optimizer: Any, scheduler: Any) -> None:
    """Before the first step: is it this network's optimizer, this optimizer's scheduler, and are there images?"""
    ours = {id(p) for p in net.parameters()}
    if not any(id(p) in ours for group in optimizer.param_groups for p in group["params"]):
        raise TrainingError(
            "The optimizer holds no parameter of this network: make it from net.parameters()."
        )
    if getattr(scheduler, "optimizer", optimizer) is not optimizer:
        raise TrainingError(
            "The scheduler belongs to another optimizer: make it from the one you give to train()."
        )
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        raise TrainingError(
            "ReduceLROnPlateau would let the test set steer the training: take another scheduler."
        )
    if any(length_hint(loader, 1) == 0 for loader in loaders):
        raise TrainingError("A loader is empty: check the data set and the batch size.")


def check_steps(scheduler: Any, epochs_left: int, loader: Iterable) -> None:
    """Has a scheduler that counts batches enough steps left?"""
    total, needed = getattr(scheduler, "total_steps", None), epochs_left * length_hint(loader)
    if steps_each_batch(scheduler) and total and needed > (left := total - scheduler.last_epoch):
        raise TrainingError(
            f"The scheduler has {left} of its {total} steps left and training takes {needed}: make the optimizer and "
            "the scheduler again, with total_steps = epochs * len(train_loader)."
        )


def check_images(images: Tensor, labels: Tensor) -> None:
    """What a loader gives: float images [B, C, H, W]; labels that are whole numbers [B] or probabilities [B, K]."""
    if images.ndim != 4 or not images.is_floating_point():
        raise TrainingError(
            f"The loader gave images that are {images.dtype} {list(images.shape)}: they have to be float [images, channels, height, width]."
        )
    if labels.ndim != 1 + labels.is_floating_point() or len(labels) != len(images):
        raise TrainingError(
            f"The loader gave {len(images)} images with labels that are {labels.dtype} {list(labels.shape)}: "
            "they have to be whole numbers [images], or probabilities [images, classes]."
        )


def check_outputs(logits: Any, labels: Tensor, loader: Iterable) -> None:
    """The first batch: compare the network's output with the labels before the loss does; a GPU would hang there."""
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(labels):
        gave = list(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise TrainingError(
            f"The network gave {gave} for {len(labels)} images: it has to give [images, classes]."
        )
    outputs = logits.shape[1]
    wanted = labels.shape[1] if labels.ndim == 2 else len(getattr(loader, "classes", ())) or outputs
    if outputs != wanted:
        raise TrainingError(
            f"The network has {outputs} outputs and the data set {wanted} classes: build it for {wanted} classes."
        )
    if labels.ndim == 1 and not 0 <= int(labels.min()) <= int(labels.max()) < outputs:
        raise TrainingError(
            f"There are labels beyond 0 to {outputs - 1}, of {outputs} outputs: mend labels or network."
        )


def check_finite(loss: Tensor, what: str) -> None:
    """Stop before a checkpoint holds a network that is lost."""
    if not torch.isfinite(loss):
        raise TrainingError(
            f"The {what} loss is not finite: the usual causes are a learning rate that is too high, images that are "
            "not normalised, or a division by 0 in the network; build the network again before the next try."
        )


def cause(error: BaseException) -> str | None:
    """What to do about an error of PyTorch whose own text does not say it to a beginner."""
    text = "out of memory" if isinstance(error, MemoryError) else str(error).lower()
    return next((advice for words, advice in CAUSES.items() if words in text), None)

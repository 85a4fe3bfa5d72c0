"""What `train` refuses, and what it says: whether the parts of a training fit together."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral
from operator import length_hint
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler


class TrainingError(RuntimeError):
    """Training cannot start or go on; the sentence says why and what to do."""


FULL = "The memory is full: make the batches or the images smaller, and restart the notebook."
NOT_FLOAT32 = (
    "The network's weights are not float32: call net.float(); train() and evaluate() calculate in "
    "fewer bits by themselves where that is faster (COURSE_PRECISION)."
)
CAUSES = {  # words of an error of PyTorch, in small letters, and what to do
    "view size is not compatible": "Use .flatten(1) in the network in place of .view(), which "
    "needs another order of values.",
    "exited unexpectedly": "A DataLoader's worker did not start: put its data set's class in a "
    ".py file, or num_workers=0.",
    "more than 1 value per channel": "Batch norm cannot learn from a last batch of one image: "
    "leave it out (drop_last=True).",
    "finished reduction in the prior": "Some weights have no part in the loss, which several "
    "processes need: freeze them.",
    "device-side assert": "The GPU met a number out of its range, most often a label that no class "
    "has: restart the notebook, and set COURSE_DEVICE=cpu to be told which.",
    "out of memory": FULL,
    "allocate ": FULL,
    "c10::half": NOT_FLOAT32,
    "c10::bfloat16": NOT_FLOAT32,
    "bias type (double)": NOT_FLOAT32,
    "must have the same dtype": NOT_FLOAT32,
    "unscale fp16 gradients": NOT_FLOAT32,
}
# What PyTorch raises where shapes or types do not fit; other errors are slips in somebody's code.
DOES_NOT_FIT = (RuntimeError, ValueError, TypeError, IndexError)


# --- PyTorch's errors in the course's sentences ---------------------------------------------------


def cause(error: BaseException) -> str | None:
    """What to do about an error of PyTorch whose own text does not say it to a beginner."""
    text = "out of memory" if isinstance(error, MemoryError) else str(error).lower()
    for words, advice in CAUSES.items():
        if words in text:
            return advice
    return None


@contextmanager
def explained(sentence: str = "") -> Iterator[None]:
    """Inside, an error of PyTorch becomes a TrainingError that says what to do, as far as is known.

    sentence: for an error whose cause is not known, what does not fit; PyTorch's words follow.
    """
    try:
        yield
    except Exception as error:
        if type(error).__module__.startswith("utils."):
            raise  # it is a sentence already
        advice = cause(error)
        if advice is None and sentence and isinstance(error, DOES_NOT_FIT):
            advice = f"{sentence}: {_words(error)}"
        if advice is None:
            raise
        raise TrainingError(advice) from error


def _words(error: Exception) -> str:
    """PyTorch's own words on one line; those of a DataLoader's worker come last in its error."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1 if lines[0].startswith("Caught ") else 0][:300]


def apply(net: Callable[[Tensor], Any], images: Tensor) -> Any:
    """net(images), with a sentence where the network does not take these images."""
    with explained(f"The network takes no {list(images.shape)}"):
        return net(images)


def mean_loss(criterion: Callable[[Any, Tensor], Tensor], outputs: Any, labels: Tensor) -> Tensor:
    """criterion(outputs, labels), with a sentence where these do not fit, or it is no number."""
    kind = f"labels that are {labels.dtype} {list(labels.shape)}"
    with explained(f"The loss takes no {kind} with this network's output"):
        loss = criterion(outputs, labels)
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        gave = list(loss.shape) if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise TrainingError(f"The loss gave {gave}: it has to be one number, the batch's mean.")
    return loss


# --- before the first step ------------------------------------------------------------------------


def steps_each_batch(scheduler: Any) -> bool:
    """Whether the scheduler counts batches (OneCycleLR, CyclicLR) and not epochs."""
    return isinstance(scheduler, lr_scheduler.OneCycleLR | lr_scheduler.CyclicLR)


def check_parts(
    net: nn.Module, loaders: Iterable, epochs: Any, optimizer: Any, scheduler: Any
) -> None:
    """Before the first step: do the parts belong together, and is there anything to do?"""
    if not isinstance(epochs, Integral) or isinstance(epochs, bool) or epochs < 1:
        raise TrainingError(f"epochs={epochs!r} has to be a whole number from 1 up.")
    if any(length_hint(loader, 1) == 0 for loader in loaders):
        raise TrainingError("A loader is empty: check the data set and the batch size.")
    _check_optimizer(net, optimizer)
    if getattr(scheduler, "optimizer", optimizer) is not optimizer:
        raise TrainingError(
            "The scheduler belongs to another optimizer: make it from the one you give to train()."
        )
    if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau):
        raise TrainingError(
            "ReduceLROnPlateau would let the test set steer the training: take another scheduler."
        )


def _check_optimizer(net: nn.Module, optimizer: Any) -> None:
    """It has to hold all that can learn; frozen weights may be left out."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(id(p) in held for p in net.parameters()):
        raise TrainingError(
            "The optimizer holds no parameter of this network: make it from net.parameters()."
        )
    learning = [name for name, p in net.named_parameters() if p.requires_grad]
    if not learning:
        raise TrainingError("All weights are frozen: let some learn, with requires_grad_(True).")
    left_out = [name for name, p in net.named_parameters() if p.requires_grad and id(p) not in held]
    if left_out:
        raise TrainingError(
            f"The optimizer lacks {len(left_out)} of the {len(learning)} parameters that can learn "
            f"({left_out[0]} is one): make it from net.parameters(), or freeze the others with "
            "requires_grad_(False)."
        )


def check_steps(scheduler: Any, epochs_left: int, loader: Iterable) -> None:
    """Has a scheduler that counts batches enough steps left?"""
    total = getattr(scheduler, "total_steps", None)
    if not total or not steps_each_batch(scheduler):
        return
    needed = epochs_left * length_hint(loader)
    left = total - scheduler.last_epoch
    if needed > left:
        raise TrainingError(
            f"The scheduler has {left} of its {total} steps left and training takes {needed}: make "
            "the optimizer and the scheduler again, with total_steps = epochs * len(train_loader)."
        )


# --- each batch -----------------------------------------------------------------------------------


def check_batch(batch: Any) -> None:
    """What a loader gives: a pair of float images [B, C, H, W] and labels.

    The labels are whole numbers [B], or probabilities [B, K].
    """
    pair = isinstance(batch, tuple | list) and len(batch) == 2
    if not pair or not all(isinstance(part, Tensor) for part in batch):
        gave = f"a {type(batch).__name__}"
        if isinstance(batch, tuple | list):
            gave = f"({', '.join(type(part).__name__ for part in batch[:5])})"
        raise TrainingError(
            f"The loader gave {gave}: it has to give pairs of tensors, (images, labels)."
        )
    images, labels = batch
    if images.ndim != 4 or not images.is_floating_point():
        raise TrainingError(
            f"The loader gave images that are {images.dtype} {list(images.shape)}: they have to be "
            "float [images, channels, height, width]."
        )
    if labels.ndim != 1 + labels.is_floating_point() or len(labels) != len(images):
        raise TrainingError(
            f"The loader gave {len(images)} images with labels that are {labels.dtype} "
            f"{list(labels.shape)}: they have to be whole numbers [images], or probabilities "
            "[images, classes]."
        )


def check_outputs(logits: Any, labels: Tensor, loader: Iterable, first: bool) -> None:
    """Compare the network's output with the labels before the loss does: a GPU would hang there.

    labels: as the loader gave them. Those on a GPU are looked at in the first batch alone, all that
    the loader has at once, since to read a number there means to wait for it.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(labels):
        gave = list(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise TrainingError(
            f"The network gave {gave} for {len(labels)} images: it has to give [images, classes]."
        )
    outputs = logits.shape[1]
    wanted = labels.shape[1] if labels.ndim == 2 else len(getattr(loader, "classes", ())) or outputs
    if outputs != wanted:
        raise TrainingError(
            f"The network has {outputs} outputs and the data set {wanted} classes: build it for "
            f"{wanted} classes."
        )
    if first:
        everything = getattr(loader, "labels", labels)
        check_labels(everything if isinstance(everything, Tensor) else labels, outputs)
    elif labels.device.type == "cpu":
        check_labels(labels, outputs)


def check_labels(labels: Tensor, outputs: int) -> None:
    """Is each of these class numbers one of an output?"""
    if labels.ndim != 1 or len(labels) == 0:
        return
    lowest, highest = int(labels.min()), int(labels.max())
    if lowest < 0 or highest >= outputs:
        wrong = lowest if lowest < 0 else highest
        raise TrainingError(
            f"There is a label {wrong}, and labels have to be from 0 to {outputs - 1} for "
            f"{outputs} outputs: mend the labels, or the network."
        )


def check_finite(loss: Tensor, what: str) -> None:
    """Stop before a checkpoint holds a network that is lost."""
    if not torch.isfinite(loss):
        raise TrainingError(
            f"The {what} loss is not finite: the usual causes are a learning rate that is too "
            "high, images that are not normalised, or a division by 0 in the network; build the "
            "network again before the next try."
        )

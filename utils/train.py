"""Training and evaluation: what every notebook does with its network.

`train_epoch` is the loop that learns, `evaluate` the one that tests, `train` runs both for some epochs. What stands
around them (checks, checkpoints, TensorBoard, several processes) is in `utils/machinery/`: in a first reading, skip it.
"""

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from utils import config
from utils.machinery import checks, distributed
from utils.machinery.checks import TrainingError, check_finite, check_outputs
from utils.machinery.precision import autocast_dtype, evaluation_mode, memory_format
from utils.machinery.run import Run

Loader = Iterable[tuple[Tensor, Tensor]]  # Batches, or a torch.utils.data.DataLoader


class Epoch(NamedTuple):
    """What one epoch measured. Accuracies are fractions from 0 to 1, losses means over images.

    The training figures are those of the network while it learned, with augmentation and dropout,
    so early in training they can lie below the test figures. The test loss is plain cross-entropy,
    whatever the criterion; without a test the test figures are nan.
    """

    train_loss: float = math.nan
    train_accuracy: float = math.nan
    test_loss: float = math.nan
    test_accuracy: float = math.nan
    learning_rate: float = math.nan  # of the epoch's last batch
    seconds: float = math.nan  # training and testing together
    images_per_second: float = math.nan  # of the training part
    height: int = 0  # of the images, in pixels, in training and testing
    learning_rates: Sequence[float] = ()  # of each batch


@dataclass
class History:
    """What training measured: a record for each epoch, and each figure as a list over the epochs."""

    epochs: list[Epoch] = field(default_factory=list)
    device: str = ""  # in words
    precision: str = ""  # "float32", "bfloat16" or "float16"
    stopped: bool = False  # by Ctrl-C or the stop button

    def __len__(self) -> int:
        return len(self.epochs)

    def append(self, **figures: Any) -> None:
        """Add an epoch, by the names of an `Epoch`; what is not given is nan."""
        self.epochs.append(Epoch(**figures))

    @property
    def train_loss(self) -> list[float]:
        return [epoch.train_loss for epoch in self.epochs]

    @property
    def train_accuracy(self) -> list[float]:
        return [epoch.train_accuracy for epoch in self.epochs]

    @property
    def test_loss(self) -> list[float]:
        return [epoch.test_loss for epoch in self.epochs]

    @property
    def test_accuracy(self) -> list[float]:
        return [epoch.test_accuracy for epoch in self.epochs]

    @property
    def learning_rate(self) -> list[float]:
        return [epoch.learning_rate for epoch in self.epochs]

    @property
    def seconds(self) -> list[float]:
        return [epoch.seconds for epoch in self.epochs]

    @property
    def images_per_second(self) -> list[float]:
        return [epoch.images_per_second for epoch in self.epochs]

    @property
    def height(self) -> list[int]:
        return [epoch.height for epoch in self.epochs]

    @property
    def learning_rates(self) -> list[Sequence[float]]:
        return [epoch.learning_rates for epoch in self.epochs]

    def as_lists(self) -> dict[str, list]:
        """Every figure as a list over the epochs, by its name: what records and checkpoints hold."""
        return {name: [getattr(epoch, name) for epoch in self.epochs] for name in Epoch._fields}

    @classmethod
    def from_lists(
        cls, by_epoch: Mapping[str, Sequence], device: str = "", precision: str = ""
    ) -> "History":
        """The opposite of `as_lists`; a figure that is missing, or null in a record, is nan."""
        history = cls(device=device, precision=precision)
        names = [name for name in Epoch._fields if by_epoch.get(name)]
        for values in zip(*(by_epoch[name] for name in names), strict=True):
            figures = dict(zip(names, values, strict=True))
            history.append(**{name: value for name, value in figures.items() if value is not None})
        return history


class Trained(NamedTuple):
    """What `train_epoch` measured: mean loss, accuracy (a fraction), number of images, each batch's learning rate, and
    the images' height in pixels."""

    loss: float
    accuracy: float
    images: int
    learning_rates: list[float]
    height: int


class Evaluation(NamedTuple):
    """What `evaluate` found: mean loss, accuracy (a fraction), and for each image its probabilities and label."""

    loss: float
    accuracy: float
    probabilities: Tensor  # float32 [N, K], on the CPU
    labels: Tensor  # int64 [N], on the CPU


def train_epoch(
    net: nn.Module,
    loader: Loader,
    optimizer: torch.optim.Optimizer,
    criterion: Callable[[Any, Tensor], Tensor],
    scheduler: Any = None,
    *,
    dtype: torch.dtype = torch.float32,
    scaler: torch.amp.GradScaler | None = None,
    clip: float | None = None,
    title: str | None = None,
) -> Trained:
    """Let `net` learn from every batch of `loader` once.

    criterion: takes the network's output and the labels, gives the mean loss of the batch.  scheduler: stepped after
    each batch.  dtype: of convolutions and matrix products; float16 needs a `scaler`.  clip: the largest norm that the
    gradients together may have.  title: what a progress bar is called; None for no bar.
    """
    net.train()
    device = next(net.parameters()).device
    scaler = scaler or torch.amp.GradScaler(
        device.type, enabled=False
    )  # lets everything pass as it is
    loss_sum, correct, seen, learning_rates = 0.0, 0, 0, []
    for images, labels in _batches(distributed.shares(loader), net, device, title):
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            outputs = net(images)  # [B, K], or a tuple of these
            logits = _first(outputs)
            if not seen:
                check_outputs(logits, labels, loader)
            loss = criterion(outputs, labels)

        optimizer.zero_grad()
        scaler.scale(loss).backward()
        if clip is not None:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(net.parameters(), clip)
        scaler.step(optimizer)
        scaler.update()
        learning_rates.append(float(optimizer.param_groups[0]["lr"]))
        if scheduler is not None:
            scheduler.step()

        # Sums stay on the device: reading one, as `.item()` does, makes a GPU wait for it.
        loss_sum += loss.detach() * len(labels)
        correct += (logits.argmax(1) == _class_indices(labels)).sum()
        seen += len(labels)
        if len(learning_rates) % 100 == 1:
            check_finite(loss_sum, "training")
    sums = torch.stack([loss_sum, correct, torch.tensor(seen, device=device)])
    loss_sum, correct, seen = distributed.all_reduce_sum(sums).tolist()
    check_finite(torch.tensor(loss_sum), "training")
    return Trained(loss_sum / seen, correct / seen, int(seen), learning_rates, images.shape[2])


@torch.no_grad()  # inference_mode() would leave tensors in the network that cannot be trained any more
def evaluate(
    net: nn.Module,
    loader: Loader,
    *,
    device: torch.device | str | None = None,
    precision: str | None = None,
) -> Evaluation:
    """Test `net` on all images of `loader`, without learning.

    The loss is plain cross-entropy; means are over images and not over batches, whose sizes differ. device,
    precision: as for `train`. TrainingError if the loader is empty or does not fit the network.
    """
    device = _prepare(net, device)
    precision = precision or config.precision
    dtype = autocast_dtype(device, precision, net)
    loss_sum, all_probabilities, all_labels = 0.0, [], []
    with evaluation_mode(net):
        for images, labels in _batches(loader, net, device):
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                logits = _first(net(images))  # [B, K]
                if not all_labels:
                    check_outputs(logits, labels, loader)
                loss_sum += F.cross_entropy(logits, labels) * len(labels)
            all_probabilities.append(logits.float().softmax(1))
            all_labels.append(_class_indices(labels))
    probabilities, labels = torch.cat(all_probabilities).cpu(), torch.cat(all_labels).cpu()
    accuracy = (probabilities.argmax(1) == labels).sum().item() / len(labels)
    check_finite(loss_sum, "test")
    return Evaluation(loss_sum.item() / len(labels), accuracy, probabilities, labels)


def train(
    net: nn.Module,
    train_loader: Loader,
    test_loader: Loader | None,
    epochs: int,
    optimizer: torch.optim.Optimizer,
    criterion: Callable[[Any, Tensor], Tensor],
    scheduler: Any = None,
    save_path: Path | str | None = None,
    writer: Any = None,
    verbose: bool = True,
    *,
    resume: bool = False,
    clip: float | None = None,
    device: torch.device | str | None = None,
    precision: str | None = None,
) -> History:
    """Train `net` for `epochs` epochs and test it after each one; returns the History.

    train_loader, test_loader: give images, float [B, C, H, W], and labels, whole numbers [B] or probabilities [B, K].
    criterion, clip: as for `train_epoch`.  scheduler: stepped once a batch (OneCycleLR, CyclicLR) or once an epoch.
    save_path: after each epoch, write a checkpoint there.  resume, or COURSE_RESUME=yes: go on from that checkpoint
        if there is one; on a CPU the numbers are then those of a run that was never stopped.
    writer: a TensorBoard SummaryWriter.  verbose: a progress bar and one printed line for each epoch.
    device: where to train, config.device unless told.  precision: as COURSE_PRECISION.

    Stop it with Ctrl-C (the stop button): the history of the finished epochs is returned. TrainingError if the parts
    do not fit together or a loss is not finite, CheckpointError if there is no going on from the checkpoint.
    """
    device = _prepare(net, device)
    precision = precision or config.precision
    loaders, keep = (train_loader, test_loader), (save_path, writer, verbose)
    run = Run(net, loaders, epochs, optimizer, criterion, scheduler, *keep, device, precision)
    history = run.begin(History(), resume)
    model = distributed.parallel(net)  # `net` itself, in a single process
    each_batch = scheduler if checks.steps_each_batch(scheduler) else None
    with run:  # Ctrl-C ends it without an error
        for epoch in range(len(history) + 1, epochs + 1):
            start = time.perf_counter()
            options = {
                "dtype": run.dtype,
                "scaler": run.scaler,
                "clip": clip,
                "title": run.start_epoch(epoch),
            }
            trained = train_epoch(model, train_loader, optimizer, criterion, each_batch, **options)
            trained_in = time.perf_counter() - start
            test_loss, test_accuracy = math.nan, math.nan
            if test_loader is not None:
                test = evaluate(net, test_loader, device=device, precision=precision)
                test_loss, test_accuracy = test.loss, test.accuracy
            if scheduler is not None and each_batch is None:
                scheduler.step()
            history.append(
                train_loss=trained.loss,
                train_accuracy=trained.accuracy,
                test_loss=test_loss,
                test_accuracy=test_accuracy,
                learning_rate=trained.learning_rates[-1],
                seconds=time.perf_counter() - start,
                images_per_second=trained.images / trained_in,
                learning_rates=trained.learning_rates,
                height=trained.height,
            )
            run.finish_epoch()
    return history


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for an optimizer: weights with weight decay; biases and norms, which only shift and scale, without.

    Pulling the latter towards 0 does not make a network simpler. Source: He et al., 2018, arXiv:1812.01187, 3.1.
    """
    parameters = [p for p in net.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


# --- what these use: skip it in a first reading -----------------------------------------------------------------


def _prepare(net: nn.Module, device: torch.device | str | None) -> torch.device:
    """Put the network on the device, its maps with the channels last; returns the device."""
    device = torch.device(device or config.device)
    net.to(device, memory_format=memory_format(device, net))
    return device


def _batches(
    loader: Loader, net: nn.Module, device: torch.device, title: str | None = None
) -> Iterator[tuple]:
    """The loader's batches on the device, as float32 and int64; with a text bar, since widgets cannot be saved."""
    layout, images = memory_format(device, net), None
    silent = (
        {"disable": True} if title is None else {}
    )  # not False, which would overrule TQDM_DISABLE=1
    fast = device.type == "cuda"  # towards a GPU nobody has to wait for the copy
    for images, labels in tqdm(
        loader, title, leave=False, file=sys.stdout, unit="batch", ncols=80, **silent
    ):
        checks.check_images(images, labels)
        images = images.to(device, torch.float32, non_blocking=fast, memory_format=layout)
        kind = torch.float32 if labels.is_floating_point() else torch.int64
        yield images, labels.to(device, kind, non_blocking=fast)
    if images is None:
        raise TrainingError("The loader gave no batches: check the data set and the batch size.")


def _first(outputs: Any) -> Tensor:
    """The logits [B, K]: a network with auxiliary outputs gives them first."""
    return outputs[0] if isinstance(outputs, (tuple, list)) else outputs


def _class_indices(labels: Tensor) -> Tensor:
    """Labels as class numbers [B], from those or from probabilities [B, K]."""
    return labels.argmax(1) if labels.ndim == 2 else labels

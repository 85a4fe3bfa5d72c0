"""Training and evaluation: what every notebook does with its network.

`train_epoch` is the loop that learns, `evaluate` the one that tests, `train` runs both for some
epochs. What stands around them (checks, checkpoints, TensorBoard, several processes) is in
`utils/machinery/`: in a first reading, skip it.
"""

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim.lr_scheduler import LRScheduler
from tqdm import tqdm

from utils import config
from utils.machinery import checks, distributed
from utils.machinery.checkpoint import describe, image_shape
from utils.machinery.checks import TrainingError, explained
from utils.machinery.log import Log, Writer
from utils.machinery.precision import autocast_dtype, device_name, evaluation_mode, memory_format
from utils.machinery.resume import Checkpoints

Loader = Iterable[tuple[Tensor, Tensor]]  # Batches, or a torch.utils.data.DataLoader
Criterion = Callable[[Any, Tensor], Tensor]  # of the network's output and the labels


# --- what is measured -----------------------------------------------------------------------------


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


@dataclass(init=False)  # two are equal if all of these are
class History:
    """What training measured: a record for each epoch; and each figure as a list, one an epoch.

    History(**lists) makes one from such lists, a record's "by_epoch" say: by their names, or in the
    order of an `Epoch`. A figure that is missing, or null in a record, is nan.
    """

    epochs: list[Epoch]
    device: str  # in words
    precision: str  # "float32", "bfloat16" or "float16"
    stopped: bool  # by Ctrl-C or the stop button

    def __init__(
        self,
        *lists: Sequence,
        device: str = "",
        precision: str = "",
        stopped: bool = False,
        **named_lists: Sequence,
    ) -> None:
        self.epochs = []
        self.device, self.precision, self.stopped = device, precision, stopped
        columns = dict(zip(Epoch._fields, lists, strict=False)) | named_lists
        columns = {name: values for name, values in columns.items() if values}
        for row in zip(*columns.values(), strict=True):
            figures = dict(zip(columns, row, strict=True))
            self.append(**{name: value for name, value in figures.items() if value is not None})

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
        """Every figure as a list, one an epoch, by its name: what records and checkpoints hold."""
        return {name: [getattr(epoch, name) for epoch in self.epochs] for name in Epoch._fields}

    @classmethod
    def from_lists(
        cls, by_epoch: Mapping[str, Sequence], device: str = "", precision: str = ""
    ) -> "History":
        """The opposite of `as_lists`; other entries of a record or a checkpoint are left out."""
        lists: dict[str, Any] = {n: by_epoch[n] for n in Epoch._fields if n in by_epoch}
        return cls(**lists, device=device, precision=precision)


class Trained(NamedTuple):
    """What `train_epoch` measured."""

    loss: float  # the mean over the images
    accuracy: float  # a fraction
    images: int
    learning_rates: list[float]  # of each batch
    height: int  # of the images, in pixels


class Evaluation(NamedTuple):
    """What `evaluate` found: means over the images, and for each its probabilities and label."""

    loss: float
    accuracy: float  # a fraction
    probabilities: Tensor  # float32 [N, K], on the CPU
    labels: Tensor  # int64 [N], on the CPU


NOT_TESTED = Evaluation(math.nan, math.nan, torch.zeros(0, 0), torch.zeros(0, dtype=torch.int64))


# --- the three loops ------------------------------------------------------------------------------


@explained()
def train_epoch(
    net: nn.Module,
    loader: Loader,
    optimizer: torch.optim.Optimizer,
    criterion: Criterion,
    scheduler: LRScheduler | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    scaler: torch.amp.GradScaler | None = None,
    clip: float | None = None,
    title: str | None = None,
) -> Trained:
    """Let `net` learn from every batch of `loader` once.

    criterion: takes the network's output and the labels, gives the mean loss of the batch.
    scheduler: stepped after each batch.  dtype: of convolutions and matrix products; float16 needs
    a `scaler`.  clip: the largest norm that the gradients together may have.  title: what a
    progress bar is called; None for no bar.
    """
    net.train()
    device = next(net.parameters()).device
    layout = memory_format(device, net)
    if scaler is None:
        scaler = torch.amp.GradScaler(device.type, enabled=False)  # lets everything pass as it is
    # Sums stay on the device: reading one, as `.item()` does, makes a GPU wait for it.
    loss_sum = torch.zeros((), device=device)
    correct = torch.zeros((), dtype=torch.int64, device=device)
    seen = 0
    learning_rates: list[float] = []

    for batch in _batches(distributed.shares(loader), title):
        images, labels = _on_device(batch, device, layout)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            outputs = checks.apply(net, images)  # [B, K], or a tuple of these
            logits = _first(outputs)
            checks.check_outputs(logits, batch[1], loader, first=seen == 0)
            loss = checks.mean_loss(criterion, outputs, labels)

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

        loss_sum += loss.detach() * len(labels)
        correct += (logits.argmax(1) == _class_indices(labels)).sum()
        seen += len(labels)
        if len(learning_rates) % 100 == 1:
            checks.check_finite(loss_sum, "training")

    sums = torch.stack([loss_sum, correct, torch.tensor(seen, device=device)])
    total_loss, total_correct, total = distributed.all_reduce_sum(sums).tolist()
    checks.check_finite(torch.tensor(total_loss), "training")
    accuracy = total_correct / total
    return Trained(total_loss / total, accuracy, int(total), learning_rates, images.shape[2])


@explained()
def batch_loss(
    net: nn.Module,
    batch: tuple[Tensor, Tensor],
    criterion: Criterion,
    loader: Loader = (),
    *,
    dtype: torch.dtype = torch.float32,
    first: bool = True,
) -> tuple[Tensor, Tensor]:
    """The loss of one batch, and the logits [B, K]: for a training loop of your own.

    Images and labels go where the network is, with the checks of `train_epoch`, which does the
    same.  criterion, dtype: as there.  loader: what gave the batch; its classes have to be as many
    as the outputs.  first: look at all of its labels, which on a GPU means to wait.
    """
    checks.check_batch(batch)
    device = next(net.parameters()).device
    images, labels = _on_device(batch, device, memory_format(device, net))
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        outputs = checks.apply(net, images)  # [B, K], or a tuple of these
        logits = _first(outputs)
        checks.check_outputs(logits, batch[1], loader, first=first)
        loss = checks.mean_loss(criterion, outputs, labels)
    return loss, logits


@explained()
@torch.no_grad()  # inference_mode() would leave tensors in the network that cannot learn any more
def evaluate(
    net: nn.Module,
    loader: Loader,
    *,
    device: torch.device | str | None = None,
    precision: str | None = None,
) -> Evaluation:
    """Test `net` on all images of `loader`, without learning.

    The loss is plain cross-entropy; means are over images and not over batches, whose sizes differ.
    device, precision: as for `train`. TrainingError if the loader is empty or does not fit the
    network.
    """
    device = _prepare(net, loader, device)
    layout = memory_format(device, net)
    dtype = autocast_dtype(device, precision or config.precision, net)
    loss_sum = torch.zeros((), device=device)
    all_probabilities: list[Tensor] = []
    all_labels: list[Tensor] = []

    with evaluation_mode(net):
        for batch in _batches(loader):
            images, labels = _on_device(batch, device, layout)
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                logits = _first(checks.apply(net, images))  # [B, K]
                checks.check_outputs(logits, batch[1], loader, first=not all_labels)
                loss_sum += F.cross_entropy(logits, labels) * len(labels)
            all_probabilities.append(logits.float().softmax(1))
            all_labels.append(_class_indices(labels))

    probabilities = torch.cat(all_probabilities).cpu()
    labels = torch.cat(all_labels).cpu()
    checks.check_finite(loss_sum, "test")
    correct = (probabilities.argmax(1) == labels).sum().item()
    return Evaluation(loss_sum.item() / len(labels), correct / len(labels), probabilities, labels)


def train(
    net: nn.Module,
    train_loader: Loader,
    test_loader: Loader | None,
    epochs: int,
    optimizer: torch.optim.Optimizer,
    criterion: Criterion,
    scheduler: LRScheduler | None = None,
    save_path: Path | str | None = None,
    writer: Writer | None = None,
    verbose: bool = True,
    *,
    resume: bool = False,
    clip: float | None = None,
    device: torch.device | str | None = None,
    precision: str | None = None,
) -> History:
    """Train `net` for `epochs` epochs and test it after each one; returns the History.

    train_loader, test_loader: give images, float [B, C, H, W], and labels, whole numbers [B] or
        probabilities [B, K]. Without a test_loader (None) nothing is tested.
    criterion, clip: as for `train_epoch`.  scheduler: stepped once a batch (OneCycleLR, CyclicLR)
        or once an epoch.
    save_path: after each epoch, write a checkpoint there.  resume, or COURSE_RESUME=yes: go on from
        that checkpoint if there is one; on a CPU the numbers are then those of a run that was never
        stopped, whether they were drawn by torch, NumPy or Python.
    writer: a TensorBoard SummaryWriter.  verbose: a progress bar and one printed line an epoch.
    device: where to train, config.device unless told.  precision: as COURSE_PRECISION.

    Stop it with Ctrl-C (the stop button): the history of the finished epochs is returned, and its
    `stopped` is True. However it ends, the loaders are then at the last epoch's size. TrainingError
    if the parts do not fit together or a loss is not finite, CheckpointError if there is no going
    on from the checkpoint.
    """
    loaders = [loader for loader in (train_loader, test_loader) if loader is not None]
    checks.check_parts(net, loaders, epochs, optimizer, scheduler)
    device = _prepare(net, train_loader, device, criterion)
    precision = precision or config.precision
    dtype = autocast_dtype(device, precision, net)
    # float16 cannot hold small gradients, so the loss is scaled up; PyTorch's own 65,536 is too
    # much for the first steps.
    scaler = torch.amp.GradScaler(device.type, init_scale=1024.0, enabled=dtype == torch.float16)
    each_batch = scheduler if checks.steps_each_batch(scheduler) else None
    history = History(device=device_name(device), precision=str(dtype).removeprefix("torch."))
    main = distributed.is_main()  # one process speaks and writes for all
    log = Log(epochs, writer if main else None, verbose and main)
    parts = {"optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
    setting = (
        describe(
            net,
            train_loader,
            optimizer,
            criterion,
            scheduler,
            test_loader=test_loader,
            clip=clip,
            epochs=epochs,
        )
        if save_path
        else {}
    )

    with Checkpoints(save_path, net, parts, setting, loaders) as checkpoints:
        try:
            _go_on(history, checkpoints, resume, epochs, log)
            checks.check_steps(scheduler, epochs - len(history), train_loader)
            if len(history) == 0:
                checkpoints.make_room()
            model = distributed.parallel(net)  # `net` itself, in a single process

            for epoch in range(len(history) + 1, epochs + 1):
                _set_epoch(loaders, epoch)
                start = time.perf_counter()
                trained = train_epoch(
                    model,
                    train_loader,
                    optimizer,
                    criterion,
                    each_batch,
                    dtype=dtype,
                    scaler=scaler,
                    clip=clip,
                    title=log.title(epoch),
                )
                training_seconds = time.perf_counter() - start
                tested = NOT_TESTED
                if test_loader is not None:
                    tested = evaluate(net, test_loader, device=device, precision=precision)
                if scheduler is not None and each_batch is None:
                    scheduler.step()

                history.append(
                    train_loss=trained.loss,
                    train_accuracy=trained.accuracy,
                    test_loss=tested.loss,
                    test_accuracy=tested.accuracy,
                    learning_rate=trained.learning_rates[-1],
                    seconds=time.perf_counter() - start,
                    images_per_second=trained.images / training_seconds,
                    height=trained.height,
                    learning_rates=trained.learning_rates,
                )
                checkpoints.write(history.as_lists(), history.device, history.precision)
                log.write(epoch, history.epochs[-1]._asdict())
        except KeyboardInterrupt:
            if distributed.world_size() > 1:
                raise  # several processes could not end in the same batch
            history.stopped = True
            _say_stopped(history, checkpoints)
        finally:
            _set_epoch(loaders, epochs)  # so that what follows sees images of full size
    return history


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for an optimizer: weights with weight decay; biases and norms without.

    Those only shift and scale: pulling them towards 0 does not make a network simpler. Source: He
    et al., 2018, arXiv:1812.01187, 3.1.
    """
    parameters = [p for p in net.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


# --- a batch's way to the network -----------------------------------------------------------------


def _batches(loader: Loader, title: str | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """The loader's batches, checked; with a bar of text, since widgets cannot be saved."""
    silent = {}
    if title is None:
        silent["disable"] = True  # False would overrule TQDM_DISABLE=1
    count = 0
    with explained("The loader cannot give a batch"):
        for batch in tqdm(
            loader, title, leave=False, file=sys.stdout, unit="batch", ncols=80, **silent
        ):
            checks.check_batch(batch)
            count += 1
            yield batch
    if count == 0:
        raise TrainingError("The loader gave no batches: check the data set and the batch size.")


def _on_device(
    batch: tuple[Tensor, Tensor], device: torch.device, layout: torch.memory_format
) -> tuple[Tensor, Tensor]:
    """Images float32, and labels int64 or, as probabilities, float32."""
    images, labels = batch
    fast = device.type == "cuda"  # towards a GPU nobody has to wait for the copy
    kind = torch.float32 if labels.is_floating_point() else torch.int64
    images = images.to(device, torch.float32, non_blocking=fast, memory_format=layout)
    return images, labels.to(device, kind, non_blocking=fast)


def _first(outputs: Any) -> Tensor:
    """The logits [B, K]: a network with auxiliary outputs gives them first."""
    return outputs[0] if isinstance(outputs, tuple | list) and outputs else outputs


def _class_indices(labels: Tensor) -> Tensor:
    """Labels as class numbers [B], from those or from probabilities [B, K]."""
    return labels.argmax(1) if labels.ndim == 2 else labels


# --- a training's begin and end -------------------------------------------------------------------


def _prepare(
    net: nn.Module,
    loader: Loader,
    device: torch.device | str | None,
    criterion: Criterion | None = None,
) -> torch.device:
    """Put network and loss on the device, the maps with the channels last; returns the device."""
    device = torch.device(device or config.device)
    net.to(device)
    if any(is_lazy(p) for p in net.parameters()):
        _give_shapes(net, loader, device)
    layout = memory_format(device, net)
    net.to(memory_format=layout)  # type: ignore[call-overload]  # torch 2.7's types lack it
    if isinstance(criterion, nn.Module):
        criterion.to(device)
    return device


def _give_shapes(net: nn.Module, loader: Loader, device: torch.device) -> None:
    """Lazy layers learn the shape of their weights from the first images that they see."""
    shape = image_shape(loader)
    if shape is None:
        raise TrainingError(
            "The network has lazy layers, whose weights have no shape yet: send one batch through "
            "it first, net(images)."
        )
    with evaluation_mode(net), torch.no_grad():
        checks.apply(net, torch.zeros(2, *shape, device=device))


def _set_epoch(loaders: Iterable[Any], epoch: int) -> None:
    """Tell the loaders, whose images' size may depend on it."""
    for loader in loaders:
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(epoch)


def _go_on(history: History, checkpoints: Checkpoints, resume: bool, epochs: int, log: Log) -> None:
    """Fill the history from the checkpoint if there is one to go on from, and say what begins."""
    found = checkpoints.read(resume, epochs)
    if found is not None:
        checkpoints.restore(found)
        kept = found["history"]
        stored = History.from_lists(kept, kept["device"], kept["precision"])
        history.epochs = stored.epochs
        for number, epoch in enumerate(history.epochs, start=1):
            log.write(number, epoch._asdict())
        if len(history) == epochs:  # a finished run keeps what it was made on
            history.device = stored.device or history.device
            history.precision = stored.precision or history.precision
            return
        log.say(f"Going on after epoch {len(history)} of {epochs}, from {checkpoints.shown}.")
    elif checkpoints.path is not None and (resume or config.resume):
        log.say(f"There is no checkpoint {checkpoints.shown} yet: training starts with epoch 1.")
    if history.device.startswith("CPU") and history.precision != "float32":
        log.say(
            f"Convolutions are calculated in {history.precision}; COURSE_PRECISION=float32 "
            "changes that."
        )


def _say_stopped(history: History, checkpoints: Checkpoints) -> None:
    done = len(history)
    print(f"Stopped in epoch {done + 1}; the history holds the {done} before it.")
    if checkpoints.path is not None and done:
        print(f"With resume=True, train() goes on from {checkpoints.shown}.")

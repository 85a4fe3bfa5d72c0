"""Training and evaluation: what every notebook does with its network.

`train` is one loop that a beginner can read from top to bottom; what stands around it checks the input, picks
the precision and keeps checkpoints, so that the loop itself stays short.
"""

import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import lr_scheduler
from tqdm import tqdm

from utils import config

Loader = Iterable[tuple[Tensor, Tensor]]  # Batches, or a torch.utils.data.DataLoader


@dataclass
class History:
    """What training measured: one entry an epoch. Accuracies are fractions from 0 to 1, losses means over images.

    The training figures are those of the network while it learned, with augmentation and dropout, so early in
    training they can lie below the test figures.
    """

    train_loss: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    test_loss: list[float] = field(default_factory=list)
    test_accuracy: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)  # at the epoch's end
    seconds: list[float] = field(default_factory=list)  # training and testing together
    images_per_second: list[float] = field(default_factory=list)  # of the training part

    def __len__(self) -> int:
        return len(self.train_loss)


class Evaluation(NamedTuple):
    """What `evaluate` found: mean loss, accuracy (a fraction), and for each image its probabilities and label."""

    loss: float
    accuracy: float
    probabilities: Tensor  # float32 [N, K], on the CPU
    labels: Tensor  # int64 [N], on the CPU


class TrainingError(RuntimeError):
    """Training cannot start or go on; the sentence says why and what to do."""


class CheckpointError(ValueError):
    """A file does not hold what this network needs; the sentence says why and what to do."""


# --- training -----------------------------------------------------------------------------------------------


def train(
    net: nn.Module,
    train_loader: Loader,
    test_loader: Loader,
    epochs: int,
    optimizer: torch.optim.Optimizer,
    criterion: Callable[[Tensor, Tensor], Tensor],
    scheduler: Any = None,
    save_path: Path | str | None = None,
    writer: Any = None,
    verbose: bool = True,
    *,
    resume: bool = False,
    device: torch.device | str | None = None,
    precision: str = "auto",
    scheduler_step: str = "auto",
) -> History:
    """Train `net` for `epochs` epochs and test it after each one; returns the History.

    train_loader, test_loader: give (images float [B, C, H, W], labels int64 [B]); `Batches` or a DataLoader.
    criterion: takes logits [B, K] and labels [B], gives the mean loss of the batch.
    scheduler: stepped once a batch (OneCycleLR, CyclicLR) or once an epoch (all others; ReduceLROnPlateau gets
        the training loss); scheduler_step="batch" or "epoch" decides for it.
    save_path: after each epoch, write a checkpoint there.  resume: go on from that checkpoint if there is one.
    writer: a TensorBoard SummaryWriter for the graph and the figures of each epoch.
    verbose: a progress bar and one printed line for each epoch.
    device: where to train, config.device unless told.
    precision: "float32", "bfloat16", "float16", or "auto": bfloat16 on a GPU that has it, float16 on one that
        has not, float32 elsewhere.

    Stop it with Ctrl-C (the stop button): the history of the finished epochs is returned. TrainingError, before
    or at the first step where it can be known, if the parts do not fit together or the loss is not finite.
    """
    device = torch.device(device) if device else config.device
    net.to(device, memory_format=torch.channels_last)  # faster convolutions, on GPUs and on CPUs
    autocast = _autocast(device, precision)
    scaler = torch.amp.GradScaler(device.type, enabled=autocast.fast_dtype == torch.float16 and autocast.enabled)
    each_batch = _steps_each_batch(scheduler, scheduler_step)
    _check_parts(net, train_loader, epochs, optimizer, scheduler, each_batch)
    state = {"net": net, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
    history = _resume(save_path, state, epochs, device, verbose) if resume else History()

    epoch = step = 0
    try:
        for epoch in range(len(history) + 1, epochs + 1):
            start = time.perf_counter()
            net.train()
            loss_sum, correct, images_seen = torch.zeros((), device=device), torch.zeros((), device=device), 0
            name = f"epoch {epoch}/{epochs}"
            for step, (images, labels) in enumerate(_progress(train_loader, name, verbose), start=1):
                _check_labels(labels, train_loader)
                images = images.to(device, memory_format=torch.channels_last, non_blocking=True)
                labels = labels.to(device, non_blocking=True)

                with autocast:
                    logits = net(images)
                    if step == 1:
                        _check_logits(logits, labels, train_loader)
                    loss = criterion(logits, labels)
                optimizer.zero_grad()
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                if each_batch:
                    scheduler.step()

                # Sums stay on the device: reading one, as `.item()` does, makes a GPU wait for it.
                loss_sum += loss.detach() * len(labels)
                correct += (logits.detach().argmax(1) == labels).sum()
                images_seen += len(labels)
                if device.type == "cpu" or step % 100 == 0:
                    _check_finite(loss_sum, epoch, step)
            if images_seen == 0:
                raise TrainingError("The training loader gave no batches: check the data set and the batch size.")
            _check_finite(loss_sum, epoch, step)
            train_loss, train_accuracy = loss_sum.item() / images_seen, correct.item() / images_seen
            train_seconds = time.perf_counter() - start

            test = evaluate(net, test_loader, criterion, device=device, precision=precision)
            if scheduler is not None and not each_batch:
                plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
                scheduler.step(train_loss) if plateau else scheduler.step()

            history.train_loss.append(train_loss)
            history.train_accuracy.append(train_accuracy)
            history.test_loss.append(test.loss)
            history.test_accuracy.append(test.accuracy)
            history.learning_rate.append(optimizer.param_groups[0]["lr"])
            history.seconds.append(time.perf_counter() - start)
            history.images_per_second.append(images_seen / train_seconds)
            if save_path:
                save_checkpoint(save_path, state, history, epochs)
            if writer:
                _write_scalars(writer, history)
                if epoch == 1:
                    _write_graph(writer, net, images[:1])
            if verbose:
                print(_line(history, epochs))
    except KeyboardInterrupt:
        where = f" The checkpoint {config.relative(save_path)} is that of the last one." if save_path and history else ""
        print(f"Stopped in epoch {epoch}, batch {step}: the history holds {len(history)} finished epochs.{where}")
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"{device} ran out of memory in epoch {epoch}, batch {step}: make the batches smaller, "
            "or the pictures, and run the notebook again from the start."
        ) from error
    return history


@torch.inference_mode()
def evaluate(
    net: nn.Module,
    loader: Loader,
    criterion: Callable[[Tensor, Tensor], Tensor] | None = None,
    *,
    device: torch.device | str | None = None,
    precision: str = "auto",
) -> Evaluation:
    """Test `net` on all images of `loader`, without augmentation of its own and without learning.

    Means are over images and not over batches, whose sizes differ. criterion: cross-entropy unless told.
    TrainingError if the loader is empty or does not fit the network.
    """
    device = torch.device(device) if device else config.device
    criterion = criterion or F.cross_entropy
    net.to(device, memory_format=torch.channels_last)
    autocast = _autocast(device, precision)
    was_training = net.training
    net.eval()
    try:
        loss_sum = torch.zeros((), device=device)
        all_probabilities, all_labels = [], []
        for images, labels in loader:
            _check_labels(labels, loader)
            images = images.to(device, memory_format=torch.channels_last, non_blocking=True)
            labels = labels.to(device, non_blocking=True)
            with autocast:
                logits = net(images)
                _check_logits(logits, labels, loader)
                loss_sum += criterion(logits, labels) * len(labels)
            all_probabilities.append(logits.float().softmax(1))
            all_labels.append(labels)
    finally:
        net.train(was_training)
    if not all_labels:
        raise TrainingError("The loader to evaluate on gave no batches: check the data set and the batch size.")
    probabilities, labels = torch.cat(all_probabilities).cpu(), torch.cat(all_labels).cpu()
    accuracy = (probabilities.argmax(1) == labels).float().mean().item()
    return Evaluation(loss_sum.item() / len(labels), accuracy, probabilities, labels)


def parameter_groups(net: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups for an optimizer: weights with weight decay; biases and norms, which only shift and scale, without.

    Pulling the latter towards 0 does not make a network simpler. Source: He et al., 2018, arXiv:1812.01187, 3.1.
    """
    parameters = [p for p in net.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


# --- what the loop uses -------------------------------------------------------------------------------------


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if precision == "auto":
        if device.type == "cuda":
            precision = "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float16"
        else:
            precision = "float32"
    if precision not in dtypes:
        raise TrainingError(f'precision="{precision}" is not known: give "auto" or one of {", ".join(dtypes)}.')
    enabled = precision != "float32"
    return torch.autocast(device.type, dtypes[precision] if enabled else None, enabled=enabled)


def _steps_each_batch(scheduler: Any, scheduler_step: str) -> bool:
    if scheduler_step not in ("auto", "batch", "epoch"):
        raise TrainingError(f'scheduler_step="{scheduler_step}" is not known: give "auto", "batch" or "epoch".')
    if scheduler is None:
        return False
    by_kind = isinstance(scheduler, lr_scheduler.OneCycleLR | lr_scheduler.CyclicLR)
    return by_kind if scheduler_step == "auto" else scheduler_step == "batch"


def _progress(loader: Loader, name: str, verbose: bool) -> tqdm:
    """A text bar on standard output: JupyterLab shows standard error in red, and saves no widgets."""
    silent = {} if verbose else {"disable": True}  # not False, which would overrule TQDM_DISABLE=1
    return tqdm(loader, name, leave=False, file=sys.stdout, unit="batch", ncols=80, **silent)


def _line(history: History, epochs: int) -> str:
    return (
        f"epoch {len(history):>{len(str(epochs))}}/{epochs}"
        f"   train: loss {history.train_loss[-1]:.3f}, {history.train_accuracy[-1]:6.2%}"
        f"   test: loss {history.test_loss[-1]:.3f}, {history.test_accuracy[-1]:6.2%}"
        f"   lr {history.learning_rate[-1]:.2g}"
        f"   {history.seconds[-1]:.1f} s, {history.images_per_second[-1]:,.0f} images/s"
    )


def _check_parts(
    net: nn.Module, loader: Loader, epochs: int, optimizer: torch.optim.Optimizer, scheduler: Any, each_batch: bool
) -> None:
    if epochs < 1:
        raise TrainingError(f"epochs is {epochs}: give a whole number from 1 up.")
    ours = {id(p) for p in net.parameters()}
    if not any(id(p) in ours for group in optimizer.param_groups for p in group["params"]):
        raise TrainingError("The optimizer holds no parameter of this network: make it from net.parameters().")
    if scheduler is not None and scheduler.optimizer is not optimizer:
        raise TrainingError("The scheduler belongs to another optimizer: make it from the one you give to train().")
    total = getattr(scheduler, "total_steps", None)
    with suppress(TypeError):  # an iterable without a length cannot be checked
        batches = len(loader)
        if batches == 0:
            raise TrainingError("The training loader is empty: check the data set and the batch size.")
        steps = epochs * (batches if each_batch else 1)
        if total is not None and total < steps:
            raise TrainingError(
                f"The scheduler was made for {total} steps and training takes {steps} ({epochs} epochs"
                f"{f' of {batches} batches' if each_batch else ''}): make it with total_steps={steps}."
            )


def _check_labels(labels: Tensor, loader: Loader) -> None:
    """Labels on the CPU are checked in every batch; those on a GPU were when their ImageSet was made."""
    classes = getattr(loader, "classes", None)
    if classes and labels.device.type == "cpu" and len(labels):
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= len(classes):
            wrong = low if low < 0 else high
            raise TrainingError(
                f"A label is {wrong}, and the {len(classes)} classes are 0 to {len(classes) - 1}: mend the labels."
            )


def _check_logits(logits: Tensor, labels: Tensor, loader: Loader) -> None:
    classes = getattr(loader, "classes", None)
    if logits.ndim != 2 or len(logits) != len(labels):
        raise TrainingError(
            f"The network gave {list(logits.shape)} for {len(labels)} images: it has to give [images, classes]."
        )
    if classes and logits.shape[1] != len(classes):
        raise TrainingError(
            f"The network has {logits.shape[1]} outputs and the data set {len(classes)} classes: "
            f"build the network for {len(classes)} classes."
        )
    if not classes and labels.device.type == "cpu" and not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[1]:
        raise TrainingError(
            f"Labels run from {int(labels.min())} to {int(labels.max())} and the network has {logits.shape[1]} "
            "outputs: build it for that many classes."
        )


def _check_finite(loss_sum: Tensor, epoch: int, step: int) -> None:
    if not torch.isfinite(loss_sum):
        raise TrainingError(
            f"The loss is not finite in epoch {epoch}, at or before batch {step}: the usual causes are a learning "
            "rate that is too high, pictures that are not normalised, or a division by 0 in the network."
        )


def _write_scalars(writer: Any, history: History) -> None:
    epoch = len(history)
    writer.add_scalar("loss/train", history.train_loss[-1], epoch)
    writer.add_scalar("loss/test", history.test_loss[-1], epoch)
    writer.add_scalar("accuracy/train", history.train_accuracy[-1], epoch)
    writer.add_scalar("accuracy/test", history.test_accuracy[-1], epoch)
    writer.add_scalar("learning rate", history.learning_rate[-1], epoch)
    writer.add_scalar("images per second", history.images_per_second[-1], epoch)
    writer.flush()


def _write_graph(writer: Any, net: nn.Module, images: Tensor) -> None:
    net.eval()
    try:
        with warnings.catch_warnings(), torch.no_grad():  # tracing warns of every `if` in a forward
            warnings.simplefilter("ignore")
            writer.add_graph(net, images)
    except Exception as error:  # the graph is an extra: a network that cannot be traced still trains
        print(f"TensorBoard gets no graph of this network: {str(error).splitlines()[0]}")
    finally:
        net.train()


# --- checkpoints and weights --------------------------------------------------------------------------------

FORMAT = 1


def save_checkpoint(path: Path | str, state: dict[str, Any], history: History, epochs: int) -> None:
    """Write all that `train(..., resume=True)` needs to go on after the epochs in `history`."""
    checkpoint = {name: part.state_dict() for name, part in state.items() if part is not None}
    checkpoint |= {"format": FORMAT, "history": asdict(history), "epochs": epochs, "random": torch.get_rng_state()}
    if torch.cuda.is_available():
        checkpoint["random_cuda"] = torch.cuda.get_rng_state_all()
    _write(checkpoint, Path(path))


def _resume(
    path: Path | str | None, state: dict[str, Any], epochs: int, device: torch.device, verbose: bool
) -> History:
    if path is None:
        raise TrainingError("resume=True needs to know the checkpoint: give save_path too.")
    if not Path(path).exists():
        return History()
    checkpoint = _read(Path(path))
    shown = config.relative(path)
    missing = [name for name, part in state.items() if part is not None and name not in checkpoint]
    if missing or "history" not in checkpoint:
        raise CheckpointError(f"{shown} is no checkpoint of train() with these parts: train without resume=True.")
    if state["scheduler"] is not None and checkpoint["epochs"] != epochs:
        raise CheckpointError(
            f"{shown} is from a run of {checkpoint['epochs']} epochs, and its scheduler cannot go on to {epochs}: "
            f"ask for {checkpoint['epochs']}, or train without resume=True."
        )
    _fit(state["net"], checkpoint["net"], shown)
    try:
        for name, part in state.items():
            if part is not None and name != "net":
                part.load_state_dict(checkpoint[name])
        history = History(**checkpoint["history"])
        torch.set_rng_state(checkpoint["random"])
        if device.type == "cuda" and "random_cuda" in checkpoint:
            torch.cuda.set_rng_state_all(checkpoint["random_cuda"][: torch.cuda.device_count()])
    except Exception as error:
        raise CheckpointError(
            f"{shown} was written with another optimizer or scheduler: use the same ones, or train without resume=True."
        ) from error
    if verbose:
        print(f"Going on after epoch {len(history)} of {shown}.")
    return history


def save_weights(net: nn.Module, path: Path | str) -> None:
    """Write the network's state dict (weights, biases, batch norms' averages), on the CPU: portable and safe."""
    _write({name: tensor.cpu() for name, tensor in net.state_dict().items()}, Path(path))


def load_weights(net: nn.Module, path: Path | str) -> None:
    """Put the weights of a file of `save_weights`, or of a checkpoint of `train`, into `net`.

    Weights in float16 become those of the network's own type. Runs no code of the file. CheckpointError if there
    is no such file, or it holds something else than this network; the network then stays as it was.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no file {config.relative(path)}: train the network first, or give another path.")
    content = _read(path)
    weights = content["net"] if "net" in content and "history" in content else content
    _fit(net, weights, config.relative(path))


def _write(content: dict[str, Any], path: Path) -> None:
    """Write to a temporary file beside it, then rename: under the path there is always a whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _read(path: Path) -> dict[str, Any]:
    shown = config.relative(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, for a file that is truncated, no checkpoint at all, or runs code
        raise CheckpointError(
            f"{shown} cannot be read as weights (it is damaged, or holds more than tensors): "
            "delete it and train again, or give another file."
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{shown} holds no weights by name: give a file that save_weights() or train() wrote.")
    if isinstance(content.get("format"), int) and content["format"] > FORMAT:
        raise CheckpointError(f"{shown} was written by a newer version of this course: update the course.")
    return content


def _fit(net: nn.Module, weights: dict[str, Any], shown: str) -> None:
    """Load `weights` into `net` if every name and shape is the network's; else say what differs, and touch nothing."""
    own = net.state_dict()
    missing, unknown = own.keys() - weights.keys(), weights.keys() - own.keys()
    if missing or unknown:
        example = f"it lacks {min(missing)}" if missing else f"it has {min(unknown, key=str)}, which the network lacks"
        raise CheckpointError(
            f"{shown} holds another network than {type(net).__name__} ({example}): build the network it was saved from."
        )
    for name, tensor in own.items():
        shape = list(getattr(weights[name], "shape", []))
        if not isinstance(weights[name], Tensor) or shape != list(tensor.shape):
            raise CheckpointError(
                f"{shown} holds another {type(net).__name__}: {name} is {shape} there and {list(tensor.shape)} here, "
                "so build the network with the same width and the same number of classes."
            )
    net.load_state_dict(weights)

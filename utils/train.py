"""Training and evaluation: what every notebook does with its network.

`train` is one loop that a beginner can read from top to bottom; what stands around it checks the input, picks
the precision and keeps checkpoints, so that the loop itself stays short. Files are `utils/checkpoint.py`'s matter,
several processes `utils/distributed.py`'s: in a single one, what the loop calls there does nothing.
"""

import sys
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import lr_scheduler
from tqdm import tqdm

from utils import config, distributed
from utils.checkpoint import FORMAT, CheckpointError, check_writable, fit_weights, read_file, write_file

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
    learning_rate: list[float] = field(default_factory=list)  # of the epoch's last batch
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
    save_path: after each epoch, write a checkpoint there.  resume, or COURSE_RESUME=yes: go on from that checkpoint
        if there is one; on a CPU the numbers are then those of a run that was never stopped (if all random numbers
        are torch's own, and as many processes go on as stopped).
    writer: a TensorBoard SummaryWriter for the graph and the figures of each epoch.
    verbose: a progress bar and one printed line for each epoch.
    device: where to train, config.device unless told.
    precision: "float32", "bfloat16", "float16", or "auto": COURSE_PRECISION, else bfloat16 on a GPU that has it,
        float16 on one that has not, float32 elsewhere.

    In several processes (see utils/script.py), each trains on its share of every batch, and the loaders have to give
    the same batches in all: Batches do, and a DataLoader whose order is torch's own. Without dropout and batch norm
    the losses are those of one process, up to rounding; a batch norm sees its share alone, unless
    config.sync_batch_norm. A mean that the criterion weights (by class, say) becomes the mean of the shares' means.

    Stop it with Ctrl-C (the stop button): the history of the finished epochs is returned. TrainingError, before
    or at the first step where it can be known, if the parts do not fit together or the loss is not finite.
    """
    if not distributed.is_main():
        verbose, writer = False, None  # one process speaks and writes for all
    device = torch.device(device) if device else config.device
    net.to(device, memory_format=torch.channels_last)  # faster convolutions, on GPUs and on CPUs
    if isinstance(criterion, nn.Module):
        criterion.to(device)
    dtype = calculation_dtype(device, precision)
    autocast = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
    # float16 cannot hold small gradients, so the loss is scaled up; the usual 65,536 is too much for many first steps
    scaler = torch.amp.GradScaler(device.type, init_scale=1024.0, enabled=dtype == torch.float16)
    each_batch = _steps_each_batch(scheduler, scheduler_step)
    _check_parts(net, train_loader, test_loader, epochs, optimizer, scheduler)
    model = distributed.parallel(net, config.sync_batch_norm)  # `net` itself, in a single process
    state = {"net": net, "optimizer": optimizer, "scheduler": scheduler, "scaler": scaler}
    resume = resume or (config.resume and save_path is not None)
    history = _resume(save_path, state, epochs, device, verbose) if resume else History()
    _check_steps(scheduler, epochs, len(history), _batches(train_loader) if each_batch else 1)
    if save_path:
        check_writable(Path(save_path))

    epoch = step = 0
    try:
        for epoch in range(len(history) + 1, epochs + 1):
            start = time.perf_counter()
            net.train()
            loss_sum, correct, images_seen = torch.zeros((), device=device), torch.zeros((), device=device), 0
            name = f"epoch {epoch}/{epochs}"
            for step, (images, labels) in enumerate(_progress(train_loader, name, verbose), start=1):
                _check_images(images)
                images_seen += len(labels)
                images, labels, own, weight = distributed.share(images, labels)  # all, in a single process
                images = _to_device(images, device, torch.channels_last)
                with autocast, distributed.own_draws(epoch, step):
                    logits = model(images)
                    _check_batch(logits, labels, train_loader, step)
                    labels = _to_device(labels, device)
                    loss = criterion(logits, labels)

                # Sums stay on the device: reading one, as `.item()` does, makes a GPU wait for it.
                loss_sum += loss.detach() * own
                correct += (logits.detach().argmax(1) == labels)[:own].sum()
                if device.type == "cpu" or step % 100 == 0:
                    _check_finite(loss_sum, epoch, step)

                optimizer.zero_grad()
                scaler.scale(loss * weight).backward()
                scaler.step(optimizer)
                scaler.update()
                learning_rate = float(optimizer.param_groups[0]["lr"])
                if each_batch:
                    scheduler.step()
            if images_seen == 0:
                raise TrainingError(
                    f"The training loader gave no batches in epoch {epoch}: check the data set and the batch size."
                )
            loss_sum, correct = distributed.total(torch.stack([loss_sum, correct]))
            _check_finite(loss_sum, epoch, step)
            train_loss, train_accuracy = loss_sum.item() / images_seen, correct.item() / images_seen
            train_seconds = time.perf_counter() - start

            distributed.same_buffers(net)
            test = evaluate(net, test_loader, criterion, device=device, precision=precision)
            if scheduler is not None and not each_batch:
                plateau = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)
                scheduler.step(train_loss) if plateau else scheduler.step()

            history.train_loss.append(train_loss)
            history.train_accuracy.append(train_accuracy)
            history.test_loss.append(test.loss)
            history.test_accuracy.append(test.accuracy)
            history.learning_rate.append(learning_rate)
            history.seconds.append(time.perf_counter() - start)
            history.images_per_second.append(images_seen / train_seconds)
            if writer:
                _write_scalars(writer, history)
                if epoch == 1:
                    _write_graph(writer, net, images[:1])
            if save_path and distributed.is_main():
                _try_checkpoint(Path(save_path), state, history, epochs)
            if verbose:
                print(_line(history, epoch, epochs))
    except KeyboardInterrupt:
        if distributed.processes() > 1:
            raise  # the others may be in another batch: there is no going on together
        _drop_unfinished(history)
        finished = "1 finished epoch" if len(history) == 1 else f"{len(history)} finished epochs"
        kept = len(history) > 0 and save_path and Path(save_path).exists()
        advice = f" With resume=True, train() goes on from {config.relative(save_path)}." if kept else ""
        print(f"Stopped in epoch {epoch}, batch {step}: the history holds {finished}.{advice}")
    except (RuntimeError, MemoryError) as error:
        if reason := _known_cause(error, device):
            raise TrainingError(f"Training stopped in epoch {epoch}, batch {step}: {reason}") from error
        raise
    return history


@torch.no_grad()  # inference_mode() would leave tensors in the network that cannot be trained any more
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
    dtype = calculation_dtype(device, precision)
    autocast = torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
    in_training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        loss_sum = torch.zeros((), device=device)
        all_probabilities, all_labels = [], []
        for step, (images, labels) in enumerate(loader, start=1):
            _check_images(images)
            all_labels.append(labels)
            images, labels, own, _ = distributed.share(images, labels)
            images = _to_device(images, device, torch.channels_last)
            with autocast:
                logits = net(images)
                _check_batch(logits, labels, loader, step)
                labels = _to_device(labels, device)
                loss_sum += criterion(logits, labels) * own
            all_probabilities.append(distributed.in_place(logits.float().softmax(1), len(all_labels[-1])))
    finally:
        for module in in_training:
            module.training = True
    if not all_labels:
        raise TrainingError(
            "The loader to evaluate on gave no batches: check the data set and the batch size."
        )
    probabilities, labels = distributed.total(torch.cat(all_probabilities)).cpu(), torch.cat(all_labels).cpu()
    accuracy = (probabilities.argmax(1) == labels).sum().item() / len(labels)
    return Evaluation(distributed.total(loss_sum).item() / len(labels), accuracy, probabilities, labels)


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


def calculation_dtype(device: torch.device, precision: str = "auto") -> torch.dtype:
    """The type in which `train` calculates convolutions and matrix products; weights stay float32."""
    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if precision == "auto":
        precision = config.precision
    if precision == "auto":
        if device.type != "cuda":
            return torch.float32
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    if precision not in dtypes:
        raise TrainingError(
            f'precision="{precision}" is not known: give "auto" or one of {", ".join(dtypes)}.'
        )
    return dtypes[precision]


def _to_device(tensor: Tensor, device: torch.device, memory_format: Any = torch.preserve_format) -> Tensor:
    """The tensor there. A copy that nobody waits for is safe towards a GPU only: from one, the CPU reads too early."""
    return tensor.to(device, memory_format=memory_format, non_blocking=device.type == "cuda")


def _steps_each_batch(scheduler: Any, scheduler_step: str) -> bool:
    if scheduler_step not in ("auto", "batch", "epoch"):
        raise TrainingError(
            f'scheduler_step="{scheduler_step}" is not known: give "auto", "batch" or "epoch".'
        )
    if scheduler is None:
        return False
    by_kind = isinstance(scheduler, lr_scheduler.OneCycleLR | lr_scheduler.CyclicLR)
    return by_kind if scheduler_step == "auto" else scheduler_step == "batch"


def _progress(loader: Loader, name: str, verbose: bool) -> tqdm:
    """A text bar on standard output: JupyterLab shows standard error in red, and saves no widgets."""
    silent = {} if verbose else {"disable": True}  # not False, which would overrule TQDM_DISABLE=1
    return tqdm(loader, name, leave=False, file=sys.stdout, unit="batch", ncols=80, **silent)


def _line(history: History, epoch: int, epochs: int) -> str:
    i = epoch - 1
    return (
        f"epoch {epoch:>{len(str(epochs))}}/{epochs}"
        f"   train: loss {history.train_loss[i]:.3f}, {history.train_accuracy[i]:6.2%}"
        f"   test: loss {history.test_loss[i]:.3f}, {history.test_accuracy[i]:6.2%}"
        f"   lr {history.learning_rate[i]:.2g}"
        f"   {history.seconds[i]:.1f} s, {history.images_per_second[i]:,.0f} images/s"
    )


def _check_parts(
    net: nn.Module,
    train_loader: Loader,
    test_loader: Loader,
    epochs: int,
    optimizer: torch.optim.Optimizer,
    scheduler: Any,
) -> None:
    if epochs < 1:
        raise TrainingError(f"epochs is {epochs}: give a whole number from 1 up.")
    ours = {id(p) for p in net.parameters()}
    if not any(id(p) in ours for group in optimizer.param_groups for p in group["params"]):
        raise TrainingError(
            "The optimizer holds no parameter of this network: make it from net.parameters()."
        )
    if getattr(scheduler, "optimizer", optimizer) is not optimizer:
        raise TrainingError(
            "The scheduler belongs to another optimizer: make it from the one you give to train()."
        )
    for name, loader in (("training", train_loader), ("test", test_loader)):
        if _batches(loader) == 0:
            raise TrainingError(f"The {name} loader is empty: check the data set and the batch size.")


def _check_steps(scheduler: Any, epochs: int, finished: int, steps_an_epoch: int | None) -> None:
    total = getattr(scheduler, "total_steps", None)
    if total is None or steps_an_epoch is None:
        return
    left, needed = total - scheduler.last_epoch, (epochs - finished) * steps_an_epoch
    if needed > left:
        raise TrainingError(
            f"The scheduler has {left} of its {total} steps left and training takes {needed}: make the optimizer "
            f"and the scheduler again, with total_steps={epochs * steps_an_epoch}."
        )


def _batches(loader: Loader) -> int | None:
    """The number of batches of an epoch, or None if the loader does not know it."""
    try:
        return len(loader)
    except TypeError:
        return None


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or not images.is_floating_point():
        raise TrainingError(
            f"The loader gave images that are {images.dtype} {list(images.shape)}: "
            "they have to be float [images, channels, height, width]."
        )


def _check_batch(logits: Any, labels: Tensor, loader: Loader, step: int) -> None:
    """Compare what the network gave with the labels, before the loss does: a GPU would stop for good there.

    Looking at labels that are on a GPU makes it wait, so that is done in the first batch only.
    """
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(labels):
        gave = list(logits.shape) if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise TrainingError(
            f"The network gave {gave} for {len(labels)} images: it has to give [images, classes]."
        )
    outputs = logits.shape[1]
    classes = len(getattr(loader, "classes", None) or range(outputs))
    if outputs != classes:
        raise TrainingError(
            f"The network has {outputs} outputs and the data set {classes} classes: "
            f"build the network for {classes} classes."
        )
    if labels.ndim != 1 or labels.is_floating_point():
        raise TrainingError(
            f"The loader gave labels that are {labels.dtype} {list(labels.shape)}: they have to be int64 [images]."
        )
    if len(labels) and (step == 1 or labels.device.type == "cpu"):
        for label in (int(labels.min()), int(labels.max())):
            if not 0 <= label < outputs:
                raise TrainingError(
                    f"A label is {label} and the network has {outputs} outputs, for labels from 0 to {outputs - 1}: "
                    "mend the labels, or build the network for more classes."
                )


def _check_finite(loss_sum: Tensor, epoch: int, step: int) -> None:
    if not torch.isfinite(loss_sum):
        where = f"batch {step}" if loss_sum.device.type == "cpu" else f"one of the batches up to {step}"
        raise TrainingError(
            f"The loss is not finite in epoch {epoch}, {where}: the usual causes are a learning rate that is too "
            "high, pictures that are not normalised, or a division by 0 in the network; build the network again "
            "before the next try."
        )


def _known_cause(error: Exception, device: torch.device) -> str | None:
    """What to do about an error of PyTorch whose own text does not say it to a beginner."""
    text = str(error).lower()
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or any(
        words in text for words in ("out of memory", "can't allocate memory", "not enough memory")
    ):
        return f"{device} ran out of memory; make the batches or the pictures smaller, restart the notebook."
    if "view size is not compatible" in text:
        return "use .flatten(1) or .reshape() in the network in place of .view(), which needs another order in memory."
    if "finished reduction in the prior iteration" in text:
        return "some weights have no part in the loss, which several processes need: freeze or remove them."
    return None


def _drop_unfinished(history: History) -> None:
    """Ctrl-C can come between two entries of an epoch: keep whole epochs only."""
    whole = min(len(figures) for figures in vars(history).values())
    for figures in vars(history).values():
        del figures[whole:]


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
        print(f"TensorBoard gets no graph of this network ({type(error).__name__}).")
    finally:
        net.train()


# --- checkpoints -------------------------------------------------------------------------------------------


def save_checkpoint(path: Path | str, state: dict[str, Any], history: History, epochs: int) -> None:
    """Write all that `train(..., resume=True)` needs to go on after the epochs in `history`."""
    checkpoint = {name: part.state_dict() for name, part in state.items() if part is not None}
    checkpoint |= {"format": FORMAT, "kinds": _kinds(state), "history": asdict(history), "epochs": epochs}
    checkpoint["random"] = torch.get_rng_state()
    if torch.cuda.is_available():
        checkpoint["random_cuda"] = torch.cuda.get_rng_state_all()
    write_file(checkpoint, Path(path))


def _try_checkpoint(path: Path, state: dict[str, Any], history: History, epochs: int) -> None:
    """A disk that fills up must not cost the hours of training that are in memory."""
    try:
        save_checkpoint(path, state, history, epochs)
    except CheckpointError as error:
        print(f"WARNING: training goes on, but epoch {len(history)} has no checkpoint. {error}")


def _kinds(state: dict[str, Any]) -> str:
    names = [type(state[name]).__name__ for name in ("optimizer", "scheduler") if state[name] is not None]
    return " and ".join(names)


def _resume(
    path: Path | str | None, state: dict[str, Any], epochs: int, device: torch.device, verbose: bool
) -> History:
    if path is None:
        raise TrainingError("resume=True needs to know the checkpoint: give save_path too.")
    shown = config.relative(path)
    checkpoint = distributed.from_main(lambda: read_file(Path(path)) if Path(path).exists() else None)
    if checkpoint is None:
        if verbose:
            print(f"There is no checkpoint {shown} yet: training starts with epoch 1.")
        return History()
    if not {"net", "optimizer", "scaler", "history", "epochs", "kinds", "random"} <= checkpoint.keys():
        raise CheckpointError(
            f"{shown} is no checkpoint of train(): delete it, or train without resume=True."
        )
    if checkpoint["kinds"] != _kinds(state):
        raise CheckpointError(
            f"{shown} was written with {checkpoint['kinds']}, and this is {_kinds(state)}: "
            "use the same, or train without resume=True."
        )
    if state["scheduler"] is not None and checkpoint["epochs"] != epochs:
        raise CheckpointError(
            f"{shown} is from a run of {checkpoint['epochs']} epochs, and its scheduler cannot go on to {epochs}: "
            f"ask for {checkpoint['epochs']}, or train without resume=True."
        )
    weights = fit_weights(state["net"], checkpoint["net"], shown)
    try:
        history = History(**checkpoint["history"])
        _drop_unfinished(history)
        state["optimizer"].load_state_dict(checkpoint["optimizer"])
        if state["scheduler"] is not None:
            state["scheduler"].load_state_dict(checkpoint["scheduler"])
        if checkpoint["scaler"]:  # empty unless in float16
            state["scaler"].load_state_dict(checkpoint["scaler"])
        torch.set_rng_state(checkpoint["random"])
        if device.type == "cuda" and "random_cuda" in checkpoint:
            torch.cuda.set_rng_state_all(checkpoint["random_cuda"][: torch.cuda.device_count()])
    except Exception as error:
        raise CheckpointError(
            f"{shown} does not fit this optimizer or scheduler: use the same ones, or train without resume=True."
        ) from error
    state["net"].load_state_dict(weights)
    if verbose:
        for epoch in range(1, len(history) + 1):
            print(_line(history, epoch, epochs))
        print(f"Going on after epoch {len(history)} of {epochs}, from {shown}.")
    return history

"""What one call of `train` keeps outside its loop: checkpoint, TensorBoard's log, printed lines, and how it ends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from utils import config
from utils.machinery import checkpoint, checks, distributed
from utils.machinery.precision import autocast_dtype, device_name

# What TensorBoard gets: "loss/train" is the History's train_loss, and so on.
SCALARS = (
    "loss/train",
    "loss/test",
    "accuracy/train",
    "accuracy/test",
    "learning_rate",
    "images_per_second",
)


@contextmanager
def evaluation_mode(net: nn.Module) -> Iterator[None]:
    """Inside, dropout and batch norm are as in use; afterwards each part of the network is in its mode of before."""
    in_training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        yield
    finally:
        for module in in_training:
            module.training = True


class Run:
    """A training, from `begin` over `finish_epoch` after each epoch to the end of the `with` block."""

    def __init__(
        self,
        net,
        loaders,
        epochs,
        optimizer,
        criterion,
        scheduler,
        save_path,
        writer,
        verbose,
        device,
        precision,
    ) -> None:
        checks.check_parts(net, [loader for loader in loaders if loader is not None], optimizer, scheduler)
        self.net, self.epochs, self.scheduler = net, epochs, scheduler
        self.loaders = [loader for loader in loaders if loader is not None]
        self.parts = {"optimizer": optimizer} | (
            {"scheduler": scheduler} if scheduler is not None else {}
        )
        self.path = Path(save_path) if save_path else None
        main = distributed.is_main()  # one process speaks and writes for all
        self.writer, self.verbose = (writer, verbose) if main else (None, False)
        self.what = checkpoint.describe(net, loaders[0], optimizer, criterion, scheduler)
        if (
            scheduler is not None
        ):  # its course depends on the number of epochs; without one, more may follow
            self.what["number of epochs"] = str(epochs)
        if isinstance(criterion, nn.Module):
            criterion.to(device)
        self.device, self.dtype = device, autocast_dtype(device, precision, net)
        # float16 cannot hold small gradients, so the loss is scaled up; the usual 65,536 is too much for first steps
        self.scaler = torch.amp.GradScaler(
            device.type, init_scale=1024.0, enabled=self.dtype == torch.float16
        )
        self.parts["scaler"] = self.scaler

    def begin(self, history: Any, resume: bool) -> Any:
        """Fill the History from the checkpoint, or leave it empty and make room for a new one; returns it."""
        if resume and self.path is None:
            raise checks.TrainingError(
                "resume=True needs to know the checkpoint: give save_path too."
            )
        resume = self.path is not None and (resume or config.resume)
        found = distributed.from_main(
            lambda: resume and self.path.exists() and checkpoint.read_file(self.path)
        )
        self.history = history
        if found:
            self._go_on(found)
        checks.check_steps(self.scheduler, self.epochs - len(history), self.loaders[0])
        if not found and self.path and distributed.is_main():
            checkpoint.check_writable(self.path)
            checkpoint.set_aside(self.path)
            if resume and self.verbose:
                print(
                    f"There is no checkpoint {config.relative(self.path)} yet: training starts with epoch 1."
                )
        if (
            len(history) < self.epochs or not history.device
        ):  # a finished run keeps what it was made on
            history.device = device_name(self.device)
            history.precision = str(self.dtype).removeprefix("torch.")
            if self.verbose and self.device.type == "cpu" and self.dtype != torch.float32:
                print(
                    f"Convolutions are calculated in {history.precision}; COURSE_PRECISION=float32 changes that."
                )
        return history

    def _go_on(self, found: dict[str, Any]) -> None:
        shown = config.relative(self.path)
        if not {"net", "history", "what", "random"} <= found.keys():
            raise checkpoint.CheckpointError(
                f"{shown} is no checkpoint of this course's train(): delete it."
            )
        checkpoint.compare(found["what"], self.what, shown)
        if (done := len(found["history"]["train_loss"])) > self.epochs:
            raise checkpoint.CheckpointError(
                f"{shown} is of {done} epochs already: ask for {done} or more."
            )
        checkpoint.fit(self.net, found["net"], shown)
        stored = type(self.history).from_lists(
            found["history"], found["history"]["device"], found["history"]["precision"]
        )
        vars(self.history).update(vars(stored))
        for name, part in self.parts.items():
            if found[name]:  # a scaler that was not needed has no state
                part.load_state_dict(found[name])
        torch.set_rng_state(found["random"])
        if self.device.type == "cuda" and found["random_cuda"]:
            torch.cuda.set_rng_state_all(found["random_cuda"][: torch.cuda.device_count()])
        for epoch in range(1, done + 1):
            self.start_epoch(epoch)  # so that the loaders are where they were
            self._report(epoch)
        if self.verbose and done < self.epochs:
            print(f"Going on after epoch {done} of {self.epochs}, from {shown}.")

    def start_epoch(self, epoch: int) -> str | None:
        """Tell the loaders, whose images' size may depend on it; returns the progress bar's name, None for no bar."""
        for loader in self.loaders:
            if hasattr(loader, "set_epoch"):
                loader.set_epoch(epoch)
        return f"epoch {epoch}/{self.epochs}" if self.verbose else None

    def finish_epoch(self) -> None:
        """Write a checkpoint; print the newest epoch's line, and give its figures to TensorBoard."""
        epoch = len(self.history)
        if self.path and distributed.is_main():
            state = {name: part.state_dict() for name, part in self.parts.items()} | {
                "what": self.what
            }
            state |= {"net": checkpoint.weights_of(self.net), "history": self.history.as_lists() | {"device": self.history.device, "precision": self.history.precision}}
            cuda = torch.cuda.get_rng_state_all() if self.device.type == "cuda" else []
            state |= {"random": torch.get_rng_state(), "random_cuda": cuda}
            try:
                checkpoint.write_file(state, self.path)
            except (
                checkpoint.CheckpointError
            ) as error:  # the hours that are in memory must not be lost
                print(f"WARNING: training goes on, but epoch {epoch} has no checkpoint. {error}")
        self._report(epoch)

    def _report(self, epoch: int) -> None:
        figures = self.history.epochs[epoch - 1]._asdict()
        if self.verbose:
            print(
                f"epoch {epoch:>{len(str(self.epochs))}}/{self.epochs}, {figures['height']} px"
                f"   train: loss {figures['train_loss']:.3f}, {figures['train_accuracy']:6.2%}"
                f"   test: cross-entropy {figures['test_loss']:.3f}, {figures['test_accuracy']:6.2%}"
                f"   lr {figures['learning_rate']:.2g}"
                f"   {figures['seconds']:.1f} s, {figures['images_per_second']:,.0f} images/s"
            )
        if self.writer is None:
            return
        try:
            for name in SCALARS:
                self.writer.add_scalar(
                    name.replace("_", " "), figures["_".join(name.split("/")[::-1])], epoch
                )
            self.writer.flush()
        except (
            Exception
        ) as error:  # of a full disk, a network drive that is gone: the log is an extra
            print(f"WARNING: training goes on, but TensorBoard gets no more figures ({error}).")
            self.writer.file_writer = self.writer.all_writers = (
                None  # closing it would fail once more
            )
            self.writer = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, _: Any) -> bool:
        """Ctrl-C ends the loop, and no more; an error of PyTorch gets a sentence that says what to do."""
        done = len(self.history)
        if (
            kind is KeyboardInterrupt and distributed.world_size() == 1
        ):  # several could not end in the same batch
            self.history.stopped = True
            self.start_epoch(self.epochs)  # so that what follows sees images of full size
            print(f"Stopped in epoch {done + 1}; the history holds the {done} before it.")
            if self.path and done:
                print(f"With resume=True, train() goes on from {config.relative(self.path)}.")
            return True
        if error is not None and (reason := checks.cause(error)):
            raise checks.TrainingError(f"Training stopped in epoch {done + 1}: {reason}") from error
        return False

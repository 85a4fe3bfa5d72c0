"""Several processes that train one network together. In a single process, nothing here does anything.

PyTorch's launcher, torchrun, starts the processes and numbers them: that number is a process's *rank*, and rank 0 is
the main process, which speaks and writes for all. Each has the whole network and takes its share of every batch;
DistributedDataParallel makes the mean of their gradients, so that all take the same step. All processes run the same
program and have to come to the same calls in the same order, since each waits there for the others.
"""

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

_counted = 1.0  # 0 while this process only repeats images of another one: see share()


# --- who is there -------------------------------------------------------------------------------------------


def start(device: torch.device, minutes: float = 10) -> None:
    """Join the other processes if torchrun started several: nccl between GPUs, gloo between CPUs.

    minutes: how long to wait for a process that does not answer, before this one gives up with an error.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    group: dict[str, Any] = {"timeout": timedelta(minutes=minutes)}
    if os.environ.get("GROUP_WORLD_SIZE") == "1" and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        # One launcher keeps its store for all restarts: addresses of processes that died must not be found again.
        store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
        group["store"] = dist.PrefixStore(f"course/{os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
        group |= {"rank": int(os.environ["RANK"]), "world_size": int(os.environ["WORLD_SIZE"])}
    dist.init_process_group(backend, **group)


def stop() -> None:
    """Leave the group."""
    if processes() > 1:
        dist.destroy_process_group()


def processes() -> int:
    """How many there are: 1, unless somebody (utils/script.py, or a program of your own) made a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if processes() > 1 else 0


def is_main() -> bool:
    """True in the one process that prints and writes files."""
    return rank() == 0


def restarts() -> int:
    """How often torchrun has started these processes again; 0 in the first start.

    Each machine counts only the failures of its own processes, so this is the sum over all.
    """
    return int(total(torch.tensor(int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")))))


def claim(word: str) -> Callable[[], bool]:
    """A function that is True for the first process to call it and False for the others, also when some have died.

    It asks the launcher, which keeps such words for its processes, and each restart begins with none.
    """
    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(host, port, is_master=False, timeout=timedelta(seconds=30))
    key = f"course/{word}/{restarts()}"

    def first() -> bool:
        try:
            return store.add(key, 1) == 1
        except RuntimeError:  # nobody is left to ask
            return True

    return first


# --- the network --------------------------------------------------------------------------------------------


def parallel(net: nn.Module, sync_batch_norm: bool = False) -> nn.Module:
    """What training calls in place of `net`: the same weights, with gradients that are means over all processes.

    Rank 0's weights and random numbers become everybody's. `net` itself stays as it is, and so do the names of its
    weights. sync_batch_norm: let its BatchNorm2d use the images of all processes.
    """
    if processes() == 1:
        return net
    torch.set_rng_state(_from_main(torch.get_rng_state()))
    if sync_batch_norm:
        for module in net.modules():
            if type(module) is nn.BatchNorm2d:
                module.__class__ = SyncBatchNorm  # the same object, the same weights, another forward()
    return nn.parallel.DistributedDataParallel(net)


def same_buffers(net: nn.Module) -> None:
    """Rank 0's running averages of the batch norms for all: until then, each has those of its own images."""
    if processes() > 1:
        with torch.no_grad():
            for buffer in net.buffers():
                buffer.copy_(_from_main(buffer))


class SyncBatchNorm(nn.BatchNorm2d):
    """Batch norm in training with mean and variance over the images of all processes.

    PyTorch has one of that name for GPUs only. Source of the sums' gradient: the sum of the processes' losses depends
    on a sum over processes through every one of them, so its gradient is the sum of theirs.
    """

    def forward(self, x: Tensor) -> Tensor:
        plain = self.momentum is None or not self.affine or not self.track_running_stats
        if plain or not self.training or processes() == 1:
            return super().forward(x)
        values = x.float()  # [N, C, H, W]
        pixels = torch.full((1,), values.numel() / values.shape[1], device=x.device)
        sums = _Sum.apply(torch.cat([values.sum((0, 2, 3)), pixels]) * _counted)
        mean, count = sums[:-1] / sums[-1], sums[-1]
        centred = values - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum((0, 2, 3)) * _counted) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return total(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return total(gradient)


# --- batches, sums and random numbers -----------------------------------------------------------------------


def share(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, int, float]:
    """This process's part of a batch: (images, labels, how many of them count, weight of their mean loss).

    images [B, ...] and labels [B] are the whole batch, the same in every process. The mean over processes of
    loss * weight is the mean loss of the whole batch. A share has two images at least, which batch norm needs; where
    a batch is too small for that, some processes repeat images of others, which then do not count (0, 0.0).
    """
    global _counted
    if processes() == 1:
        return images, labels, len(labels), 1.0
    first, end = _place(len(labels))
    own, _counted = end - first, float(end > first)
    if own == 0:
        first, end = 0, 2
    return images[first:end], labels[first:end], own, own * processes() / max(1, len(labels))


def _place(batch: int) -> tuple[int, int]:
    """Where this process's share of so many images begins and ends: equal shares, up to one image."""
    sharing = max(1, min(processes(), batch // 2))
    number = min(rank(), sharing)
    return batch * number // sharing, batch * min(number + 1, sharing) // sharing


def in_place(rows: Tensor, batch: int) -> Tensor:
    """The rows [S, K] of a share at their place in the whole batch [B, K]: total() then puts all shares together."""
    if processes() == 1:
        return rows
    first, end = _place(batch)
    whole = rows.new_zeros(batch, *rows.shape[1:])
    whole[first:end] = rows[: end - first]
    return whole


def total(values: Tensor) -> Tensor:
    """The sum of this tensor over all processes, the same in each."""
    if processes() > 1:
        values = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(values)
    return values


@contextmanager
def own_draws(epoch: int, step: int) -> Iterator[None]:
    """Inside, random numbers (of dropout, say) differ from process to process; outside they are the same in all.

    The order of the images and their augmentation have to be the same everywhere, and each image deserves a dropout
    of its own. The draws inside depend on the seed, epoch, step and rank alone, so a resumed run repeats them.
    """
    if processes() == 1:
        yield
        return
    common = torch.get_rng_state()
    torch.manual_seed(random.Random(f"{torch.initial_seed()} {epoch} {step} {rank()}").getrandbits(63))
    try:
        yield
    finally:
        torch.set_rng_state(common)


def from_main(read: Callable[[], Any]) -> Any:
    """What `read` returns in the main process, for all; the others do not call it."""
    if processes() == 1:
        return read()
    box = [read() if is_main() else None]
    dist.broadcast_object_list(box)
    return box[0]


def _from_main(tensor: Tensor) -> Tensor:
    copy = tensor.clone(memory_format=torch.contiguous_format)
    dist.broadcast(copy, 0)
    return copy

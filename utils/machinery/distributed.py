"""Several processes that train one network together; in a single one, nothing here does anything.

PyTorch's launcher, torchrun, starts them and numbers them: that is a process's *rank*, and rank 0,
the main process, speaks and writes for all. Each has the whole network and takes its share of every
batch; DistributedDataParallel makes the mean of their gradients, so that all take the same step.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from utils.machinery.checks import check_batch

sync_batch_norm = False  # set by start(): batch norms over the images of all processes, on GPUs


def start(device: torch.device, minutes: float = 10, sync: bool = False) -> None:
    """Join the other processes if torchrun started several: nccl between GPUs, gloo between CPUs.

    minutes: how long to wait for a process that does not answer.  sync: batch norms over the images
    of all (on GPUs).
    """
    global sync_batch_norm
    sync_batch_norm = sync
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store, number, size = next(dist.rendezvous("env://"))
    if os.environ.get("GROUP_WORLD_SIZE") == "1":  # a restart must not meet processes that died
        store = dist.PrefixStore(os.environ["TORCHELASTIC_RESTART_COUNT"], store)
    dist.init_process_group(backend, None, timedelta(minutes=minutes), size, number, store)


def world_size() -> int:
    """How many processes there are: 1, unless somebody, say utils/script.py, made a group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def is_main() -> bool:
    """True in the one process that prints and writes files."""
    return rank() == 0


def parallel(net: nn.Module) -> nn.Module:
    """What training calls in place of `net`: its gradients are means over all processes.

    Rank 0's weights and random numbers become everybody's; the names of `net`'s weights stay as
    they are.
    """
    if world_size() == 1:
        return net
    torch.set_rng_state(from_main(torch.get_rng_state))
    if sync_batch_norm:
        net = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    return nn.parallel.DistributedDataParallel(net)


def shares(loader: Iterable[tuple[Tensor, Tensor]]) -> Iterable[tuple[Tensor, Tensor]]:
    """This process's part of each batch: every world_size-th image, equally many in each process.

    The loader has to give the same batches in all processes: Batches do, and a DataLoader whose
    order is torch's own. What is left of a batch that cannot be dealt out evenly is left out, and
    so is a batch of less than two images each.
    """
    return loader if world_size() == 1 else _dealt_out(loader)


def _dealt_out(loader: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    size, first = world_size(), rank()
    for batch in loader:
        check_batch(batch)
        images, labels = batch
        count = len(labels) // size * size
        if count >= 2 * size:
            yield images[first:count:size], labels[first:count:size]


def all_reduce_sum(values: Tensor) -> Tensor:
    """The sum of this tensor over all processes, the same in each."""
    if world_size() > 1:
        dist.all_reduce(values)
    return values


def from_main(read: Callable[[], Any]) -> Any:
    """What `read` returns in the main process, for all; the others do not call it."""
    if world_size() == 1:
        return read()
    box = [read() if is_main() else None]
    dist.broadcast_object_list(box)
    return box[0]

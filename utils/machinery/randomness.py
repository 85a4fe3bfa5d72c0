"""The states of the random generators: of torch, NumPy and Python, and of a DataLoader's own."""

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_state(loaders: Iterable[Any] = ()) -> dict[str, Any]:
    """Where all generators stand now, in tensors and plain numbers, which a checkpoint can hold."""
    state = {
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        "random_python": random.getstate(),
        "random_loaders": [generator.get_state() for generator in _own_generators(loaders)],
    }
    numpy_state: Any = np.random.get_state(legacy=True)
    name, keys, *rest = numpy_state
    if name == "MT19937":  # NumPy's own; somebody may have put another one in its place
        state["random_numpy"] = [name, torch.from_numpy(keys.astype(np.int64)), *rest]
    return state


def set_random_state(state: dict[str, Any], loaders: Iterable[Any] = ()) -> None:
    """Put the generators where they were; what an older checkpoint does not hold stays as it is."""
    torch.set_rng_state(state["random"])
    if torch.cuda.is_initialized() and state.get("random_cuda"):
        torch.cuda.set_rng_state_all(state["random_cuda"][: torch.cuda.device_count()])
    if "random_python" in state:
        number, keys, following = state["random_python"]
        random.setstate((number, tuple(keys), following))
    if "random_numpy" in state:
        name, keys, *rest = state["random_numpy"]
        np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    for generator, own in zip(
        _own_generators(loaders), state.get("random_loaders", []), strict=False
    ):
        generator.set_state(own)


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """What is drawn inside changes nothing afterwards."""
    before = random_state()
    try:
        yield
    finally:
        set_random_state(before)


def _own_generators(loaders: Iterable[Any]) -> list[torch.Generator]:
    """The generators that DataLoaders and their samplers were given, each once."""
    found: list[torch.Generator] = []
    for loader in loaders:
        for part in (loader, getattr(loader, "sampler", None)):
            generator = getattr(part, "generator", None)
            if isinstance(generator, torch.Generator) and generator not in found:
                found.append(generator)
    return found

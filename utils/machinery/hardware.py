"""The device, its memory and its precision: what `config` stands on. This module imports nothing of the course."""

import contextlib
import ctypes

import torch
from torch import nn


class ConfigError(ValueError):
    """A COURSE_* variable has a value that the course cannot use; the sentence says what to do."""


def working_device(wanted: str, rank: str) -> torch.device:
    """The device of that name, or a GPU if one is there and works; rank: from torchrun, which means a GPU for each."""
    chosen = wanted
    if not chosen:  # several processes cannot exchange what is on Apple's GPU
        mps = torch.backends.mps.is_available() and not rank
        chosen = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
    if chosen == "cuda" and rank:
        chosen = f"cuda:{rank}"
    try:
        device = torch.device(chosen)
        torch.ones(1, device=device).add(1).item()
    except Exception as error:
        if wanted or rank:
            raise ConfigError(f"{chosen} cannot be used here: set COURSE_DEVICE to cpu.") from error
        print(
            f"There is a GPU ({chosen}), but it does not work with this PyTorch: the course uses the CPU."
        )
        return torch.device("cpu")
    return device


def keep_large_blocks() -> None:
    """Linux: keep the memory of large tensors between batches; handing it back makes a step up to twice as long."""
    with contextlib.suppress(OSError, TypeError, AttributeError):  # other systems have no mallopt
        mallopt = ctypes.CDLL(None).mallopt
        # Bytes: mmap above (32 MiB is the most that older C libraries take), trim above, grow by.
        for option, value in ((-3, 2**25), (-3, 2**30), (-1, 2**31 - 1), (-2, 2**26)):
            mallopt(option, value)


def autocast_dtype(
    device: torch.device, precision: str, net: nn.Module | None = None
) -> torch.dtype:
    """The type for convolutions and matrix products; weights stay float32.

    "auto" is bfloat16 on a GPU that has it, float16 on one that has not. A CPU with instructions for bfloat16 trains
    a network of ordinary convolutions twice as fast in it; depthwise ones gain nothing. Elsewhere it is float32.
    """
    if precision == "auto" and device.type == "cuda":
        precision = (
            "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
        )
    elif precision == "auto" and device.type == "cpu" and net is not None and _cpu_has_bfloat16():
        convolutions = any(isinstance(module, nn.Conv2d) for module in net.modules())
        precision = "bfloat16" if convolutions and not has_depthwise(net) else "float32"
    return getattr(torch, "float32" if precision == "auto" else precision)


def has_depthwise(net: nn.Module) -> bool:
    """Whether it has a convolution with as many groups as input channels."""
    return any(isinstance(m, nn.Conv2d) and 1 < m.groups == m.in_channels for m in net.modules())


def _cpu_has_bfloat16() -> bool:
    """Whether it has AVX-512 BF16 or AMX; without these bfloat16 is slower than float32."""
    tests = (
        "_is_avx512_bf16_supported",
        "_is_amx_tile_supported",
    )  # not in every version of PyTorch
    return any(getattr(torch.cpu, name, bool)() for name in tests)


def device_name(device: torch.device) -> str:
    """The device in words, for example "NVIDIA H200" or "CPU with 2 threads"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return (
        "Apple GPU"
        if device.type == "mps"
        else f"CPU with {threads} thread{'' if threads == 1 else 's'}"
    )

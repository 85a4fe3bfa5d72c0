"""What a network is calculated in, and how its weights lie in memory."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from utils.config import device_name, fixed_precision

__all__ = ["autocast_dtype", "device_name", "evaluation_mode", "has_depthwise", "memory_format"]


def autocast_dtype(
    device: torch.device, precision: str, net: nn.Module | None = None
) -> torch.dtype:
    """The type for convolutions and matrix products; weights stay float32.

    "auto" is bfloat16 on a GPU that has it, float16 on one that has not. A CPU with instructions
    for bfloat16 trains a network of ordinary convolutions twice as fast in it; depthwise ones gain
    nothing. Elsewhere it is float32.
    """
    name = fixed_precision(device, precision)
    if name is None:
        name = "bfloat16" if net is not None and _gains_from_bfloat16(net) else "float32"
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def has_depthwise(net: nn.Module) -> bool:
    """Whether it has a convolution with as many groups as input channels."""
    return any(isinstance(m, nn.Conv2d) and 1 < m.groups == m.in_channels for m in net.modules())


def memory_format(device: torch.device, net: nn.Module) -> torch.memory_format:
    """How images and weights lie in memory: channels_last, which makes convolutions faster.

    On Apple's GPU batch norms then learn wrongly (pytorch#175189), and on NVIDIA's, depthwise
    convolutions are many times slower in it.
    """
    if device.type == "mps":
        return torch.preserve_format
    if device.type == "cuda" and has_depthwise(net):
        return torch.contiguous_format
    return torch.channels_last


@contextmanager
def evaluation_mode(net: nn.Module) -> Iterator[None]:
    """Inside, dropout and batch norm are as in use; afterwards each part has its mode of before."""
    in_training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        yield
    finally:
        for module in in_training:
            module.training = True


def _gains_from_bfloat16(net: nn.Module) -> bool:
    """Whether a CPU is faster in bfloat16: with instructions for it, and ordinary convolutions."""
    convolutions = any(isinstance(module, nn.Conv2d) for module in net.modules())
    return convolutions and not has_depthwise(net) and _cpu_has_bfloat16()


def _cpu_has_bfloat16() -> bool:
    """Whether it has AVX-512 BF16 or AMX; without these bfloat16 is slower than float32."""
    if hasattr(torch.cpu, "get_capabilities"):  # newer versions of torch
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "amx_tile"))
    older = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name)() for name in older if hasattr(torch.cpu, name))

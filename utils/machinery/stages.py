"""What each stage of a network makes of an image, and what it costs."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from utils.machinery.precision import evaluation_mode

BAR = 12  # characters of the longest bar


class Stage(NamedTuple):
    """A row of the table: the map that leaves the stage, and what the stage costs for one image."""

    name: str
    channels: int
    size: list[int]  # height and width; of tokens, their number
    parameters: int
    millions: float  # of multiply-adds


class Count(NamedTuple):
    """For one image: the shape that leaves each module, and each one's multiply-adds."""

    shapes: dict[nn.Module, list[int]]  # [C, H, W], [C], or [tokens, C]
    mult_adds: dict[nn.Module, int]  # with those of the modules inside


def count(net: nn.Module, shape: tuple[int, ...]) -> Count:
    """Send one image [C, H, W] of zeros through the network, and count.

    Multiply-adds are those of convolutions, linear layers, matrix products and attention.
    """
    shapes: dict[nn.Module, list[int]] = {}

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, torch.Tensor):
            shapes[module] = list(output.shape[1:])

    counter = FlopCounterMode(display=False)
    image = torch.zeros(1, *shape, device=next(net.parameters()).device)
    with evaluation_mode(net), torch.no_grad(), _plain_attention(), ExitStack() as hooks:
        for module in net.modules():
            hooks.enter_context(module.register_forward_hook(note))
        with counter:
            net(image)

    flops = counter.get_flop_counts()  # by names such as "ResNet.stages.0"
    mult_adds = {}
    for name, module in net.named_modules():
        full_name = f"{type(net).__name__}.{name}" if name else type(net).__name__
        operations = flops.get(full_name, {})
        mult_adds[module] = sum(operations.values()) // 2  # a multiplication and an addition
    return Count(shapes, mult_adds)


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Inside, attention is calculated in single matrix products, which can be counted."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def stage_table(
    net: nn.Module, stages: Mapping[str, nn.Module], shape: tuple[int, int, int] = (3, 32, 32)
) -> None:
    """Print for each stage its map, parameters and multiply-adds for one image, with bars.

    stages: parts of `net` by name, in order, for example {"stem": net.features[0], "stage 1":
    net.features[1:3]}.  shape: of an image, [C, H, W].  Multiply-adds: as `count` has them.
    """
    counted = count(net, shape)
    rows = [_row(name, stage, counted) for name, stage in stages.items()]
    most_parameters = max(row.parameters for row in rows)
    most_millions = max(row.millions for row in rows)
    name_width = max(len(row.name) for row in rows)

    print(f"{'':{name_width}}  channels      map   parameters{'':14}multiply-adds, millions")
    for row in rows:
        size = " × ".join(map(str, row.size))
        print(
            f"{row.name:{name_width}}  {row.channels:8,}  {size:>7}  "
            f"{row.parameters:11,} {_bar(row.parameters, most_parameters):{BAR}} "
            f"{row.millions:10.2f} {_bar(row.millions, most_millions)}"
        )
    parameters = sum(p.numel() for p in net.parameters())
    millions = counted.mult_adds[net] / 1e6
    print(f"{'together':{name_width}}  {'':17}  {parameters:11,} {'':{BAR}} {millions:10.2f}")


def _row(name: str, stage: nn.Module, counted: Count) -> Stage:
    """What was counted for one part of the network."""
    shape = _last_shape(stage, counted.shapes)
    if len(shape) == 2:
        tokens, channels = shape
        size = [tokens]
    else:
        channels, *size = shape
    parameters = sum(p.numel() for p in stage.parameters())
    return Stage(name, channels, size or [1, 1], parameters, _mult_adds(stage, counted) / 1e6)


def _last_shape(stage: nn.Module, shapes: dict[nn.Module, list[int]]) -> list[int]:
    """The shape that leaves a stage; a slice of a network is not called itself, but its parts."""
    if stage in shapes:
        return shapes[stage]
    for part in reversed(list(stage.children())):
        if part in shapes:
            return shapes[part]
    raise ValueError(f"No image comes through {type(stage).__name__}: give a part that is used.")


def _mult_adds(stage: nn.Module, counted: Count) -> int:
    """The multiply-adds of a stage; of one that is not called itself, those of its parts."""
    own = counted.mult_adds.get(stage, 0)
    return own or sum(_mult_adds(part, counted) for part in stage.children())


def _bar(number: float, most: float) -> str:
    """A bar as long as the number is large."""
    return "█" * round(BAR * number / (most or 1))

"""What each stage of a network makes of an image, and what it costs."""

from collections.abc import Mapping
from contextlib import ExitStack
from math import prod

import torch
from torch import nn

from utils.machinery.run import evaluation_mode


def count(
    net: nn.Module, shape: tuple[int, ...]
) -> tuple[dict[nn.Module, list[int]], dict[nn.Module, int]]:
    """For one image [C, H, W]: the shape that leaves each module, and multiply-adds of convolutions and linear layers."""
    shapes, mult_adds = {}, {}

    def note(module: nn.Module, _input, output) -> None:
        shapes[module] = list(output.shape[1:]) if isinstance(output, torch.Tensor) else []
        if isinstance(module, nn.Conv2d | nn.Linear):  # each weight is used once at every position
            mult_adds[module] = module.weight.numel() * prod(output.shape[2:]) + mult_adds.get(
                module, 0
            )

    with evaluation_mode(net), torch.no_grad(), ExitStack() as hooks:
        for module in net.modules():
            hooks.enter_context(module.register_forward_hook(note))
        net(torch.zeros(1, *shape, device=next(net.parameters()).device))
    return shapes, mult_adds


def stage_table(
    net: nn.Module, stages: Mapping[str, nn.Module], shape: tuple[int, int, int] = (3, 32, 32)
) -> None:
    """Print for each stage the map that leaves it, its parameters and its multiply-adds for one image, with bars.

    stages: parts of `net` by name, in order, for example {"stem": net.features[0], "stage 1": net.features[1:3]}.
    shape: of an image, [C, H, W]. Multiply-adds are those of convolutions and linear layers.
    """
    shapes, mult_adds = count(net, shape)
    rows = []
    for name, stage in stages.items():
        parts = (
            stage,
            *reversed(list(stage.children())),
        )  # a slice of a network is not called itself
        channels, *sides = next(shapes[part] for part in parts if part in shapes)
        costs = sum(mult_adds.get(module, 0) for module in stage.modules())
        rows.append(
            (
                name,
                channels,
                sides or [1, 1],
                sum(p.numel() for p in stage.parameters()),
                costs / 1e6,
            )
        )
    together = sum(p.numel() for p in net.parameters()), sum(mult_adds.values()) / 1e6
    most, wide = (
        [max(column) for column in list(zip(*rows, strict=True))[3:]],
        max(map(len, stages)),
    )
    print(f"{'':{wide}}  channels      map   parameters{'':14}multiply-adds, millions")
    for name, channels, (height, width), *costs in rows:
        bars = ["█" * round(12 * cost / (top or 1)) for cost, top in zip(costs, most, strict=True)]
        print(
            f"{name:{wide}}  {channels:8,}  {f'{height} × {width}':>7}  {costs[0]:11,} {bars[0]:12}",
            end="",
        )
        print(f" {costs[1]:10.2f} {bars[1]}")
    print(f"{'together':{wide}}  {'':17}  {together[0]:11,} {'':12} {together[1]:10.2f}")

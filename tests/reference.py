"""What the tests of the networks share: holding a network to its reference, weight by weight."""

import torch
from torch import nn


def count(net: nn.Module) -> int:
    """Parameters of the network."""
    return sum(p.numel() for p in net.parameters())


def with_weights_of(net: nn.Module, reference: nn.Module) -> nn.Module:
    """The same tensors in the same order; shapes have to agree one by one."""
    theirs = list(reference.state_dict().values())
    ours = net.state_dict()
    assert [t.shape for t in ours.values()] == [t.shape for t in theirs]
    net.load_state_dict(dict(zip(ours, theirs, strict=True)))
    return net.eval()


def lively(net: nn.Module, variances: tuple[float, float] = (0.5, 1.5)) -> nn.Module:
    """Random batch norm averages and last weights, so that no part of the network can hide behind a 0 or a 1."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(*variances)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.05)
    return net.eval()

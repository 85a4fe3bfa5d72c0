"""The notebooks on disk, and the networks that their cells tagged `network` define."""

import linecache
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

from torch import nn

from utils import config
from utils.machinery import ipynb


def notebooks() -> list[str]:
    """The names of the notebooks on disk that define a network: "10_mobilenet_v2", ..."""
    return [name for name in ipynb.names(_folder()) if cells(name, "network")]


def cells(name: str, tag: str) -> list[str]:
    """The sources of a notebook's code cells with this tag, in order."""
    code = ipynb.code_cells(ipynb.read(_path(name)))
    return [cell.source for cell in code if tag in cell.tags]


def metadata(name: str) -> dict[str, str]:
    """What a notebook says of itself in its metadata: {"title": ..., "experiment": ...}."""
    about: dict[str, str] = ipynb.read(_path(name))["metadata"].get("course", {})
    return about


@cache
def networks(name: str) -> ModuleType:
    """What a notebook's cells tagged `network` define; they run once.

    For example networks("14_efficientnet").efficientnet("b1").
    """
    sources = cells(name, "network")
    module = ModuleType(f"lesson_{name}")
    sys.modules[module.__name__] = module  # so that its classes are found by name, as any module's
    try:
        for number, source in enumerate(sources, start=1):
            cell = f"<{name}, network cell {number}>"
            lines = source.splitlines(keepends=True)
            linecache.cache[cell] = (len(source), None, lines, cell)  # for tracebacks
            exec(compile(source, cell, "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def build(name: str) -> nn.Module:
    """The network that a notebook trains, with ten classes and new weights."""
    net: nn.Module = networks(name).course_network()
    return net


def _folder() -> Path:
    return config.root / "notebooks"


def _path(name: str) -> Path:
    path = _folder() / f"{name}.ipynb"
    if not path.is_file():
        raise ValueError(f"There is no notebook {name}: choose one of {', '.join(notebooks())}.")
    return path

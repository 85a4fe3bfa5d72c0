"""The notebooks on disk, and the networks that their cells tagged `network` define."""

import json
import linecache
import sys
from functools import cache
from types import ModuleType
from typing import Any

from torch import nn

from utils import config


def notebooks() -> list[str]:
    """The names of the notebooks on disk that define a network: "10_mobilenet_v2", ..."""
    names = sorted(path.stem for path in (config.root / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    return [name for name in names if cells(name, "network")]


def cells(name: str, tag: str) -> list[str]:
    """The sources of a notebook's code cells with this tag, in order."""
    code = [cell for cell in _read(name)["cells"] if cell["cell_type"] == "code"]
    return ["".join(cell["source"]) for cell in code if tag in cell["metadata"].get("tags", [])]


def metadata(name: str) -> dict[str, str]:
    """What a notebook says of itself in its metadata: {"title": ..., "experiment": ...}."""
    return _read(name)["metadata"].get("course", {})


def _read(name: str) -> dict[str, Any]:
    path = config.root / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        raise ValueError(f"There is no notebook {name}: choose one of {', '.join(notebooks())}.")
    return json.loads(path.read_text(encoding="utf-8"))


@cache
def networks(name: str) -> ModuleType:
    """What the cells tagged `network` define: networks("14_efficientnet").efficientnet("b1"), say. They run once."""
    sources = cells(name, "network")
    module = ModuleType(f"lesson_{name}")
    sys.modules[module.__name__] = (
        module  # so that its classes can be found by name, as those of any module
    )
    try:
        for number, source in enumerate(sources, start=1):
            cell = f"<{name}, network cell {number}>"
            linecache.cache[cell] = (
                len(source),
                None,
                source.splitlines(True),
                cell,
            )  # for tracebacks
            exec(compile(source, cell, "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[module.__name__]
        raise
    return module


def build(name: str) -> nn.Module:
    """The network that a notebook trains, with ten classes and new weights."""
    return networks(name).course_network()

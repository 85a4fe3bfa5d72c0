"""The networks that a notebook defines, as Python classes: for tests, other notebooks and scripts.

A network is defined in its notebook, because it is the lesson, and nowhere else. The cells that define it
(imports, blocks, network; no experiment and no data) carry the tag `network`; `networks` runs just those.
"""

import json
import linecache
import sys
from functools import cache
from types import ModuleType

from utils import config


def cells(notebook: str, tag: str) -> list[str]:
    """The sources of a notebook's code cells with this tag, in order; `notebook` is its file name without .ipynb."""
    path = config.root / "notebooks" / f"{notebook}.ipynb"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("[0-9]*.ipynb")))
        raise ValueError(f"There is no notebook {notebook}: the course has {known}.")
    book = json.loads(path.read_text(encoding="utf-8"))
    return [
        "".join(cell["source"])
        for cell in book["cells"]
        if cell["cell_type"] == "code" and tag in cell["metadata"].get("tags", [])
    ]


@cache
def networks(notebook: str) -> ModuleType:
    """What the cells tagged `network` of a notebook define, as attributes of a module.

    networks("10_mobilenet_v2").MobileNetV2(classes=10) is the network of that notebook. The cells run once;
    ValueError if there is no such notebook or it has no such cells.
    """
    sources = cells(notebook, "network")
    if not sources:
        raise ValueError(f"The notebook {notebook} has no cells tagged `network`: tag those that define it.")
    module = ModuleType(f"lesson_{notebook}", f"The networks of notebooks/{notebook}.ipynb.")
    sys.modules[module.__name__] = module  # so that its classes can be found by name, as those of any module
    for number, source in enumerate(sources, start=1):
        name = f"<{notebook}, network cell {number}>"
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)  # for tracebacks
        exec(compile(source, name, "exec", dont_inherit=True), module.__dict__)
    return module

"""Notebooks as files: the one place that reads them. It needs no PyTorch, which takes seconds."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

# Not of a copy that JupyterLab or a browser made: "10_mobilenet_v2-Copy1", "10_mobilenet_v2 (1)".
NAME = re.compile("[0-9]{2}_[a-z0-9_]+")


class CodeCell(NamedTuple):
    """A code cell: its id (its number where it has none), its tags, and its lines in one text."""

    id: str
    tags: list[str]
    source: str


def names(folder: Path) -> list[str]:
    """The course's notebooks in a folder: "00_start_here", "01_lenet", ..."""
    stems = [path.stem for path in folder.glob("*.ipynb")]
    return sorted(stem for stem in stems if NAME.fullmatch(stem))


def read(path: Path) -> dict[str, Any]:
    """A notebook's content. ValueError if it is of an older form than notebooks have today."""
    book: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "cells" not in book:
        raise ValueError(f"{path.name} has an old form: open it in JupyterLab and save it.")
    return book


def code_cells(book: dict[str, Any]) -> list[CodeCell]:
    """The code cells of a notebook, in order."""
    found = []
    for number, cell in enumerate(book["cells"], start=1):
        if cell["cell_type"] == "code":
            tags = cell.get("metadata", {}).get("tags", [])
            source = "".join(cell["source"])  # a text, or a list of lines
            found.append(CodeCell(cell.get("id", f"number {number}"), tags, source))
    return found

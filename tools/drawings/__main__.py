"""Makes the drawings of all notebooks: python tools/drawings"""

import importlib
from collections.abc import Callable
from pathlib import Path

import drawing

drawings: dict[str, Callable[[], drawing.Picture]] = {}
for file in sorted(Path(__file__).parent.glob("draw_[0-9][0-9].py")):
    drawings |= importlib.import_module(file.stem).DRAWINGS
drawing.main(drawings)

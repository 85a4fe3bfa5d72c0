"""Makes the drawings of all notebooks: python tools/drawings"""

import importlib
from pathlib import Path

import drawing

drawings = {}
for file in sorted(Path(__file__).parent.glob("draw_[0-9][0-9].py")):
    drawings |= importlib.import_module(file.stem).DRAWINGS
drawing.main(drawings)

"""For teachers: writes copies of the notebooks to hand out to a class.

    .venv/bin/python tools/class_copies.py class                 all notebooks
    .venv/bin/python tools/class_copies.py class 01_lenet        only these

Outputs are cleared, and the cells "What our run shows" (tag `our-run`) are left out; everything
else is as it was. The copies go to class/notebooks, with the drawings beside them. They need the
course's helpers: let the folder lie in the course's own, or copy utils/ and data/ into it.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils import config
from utils.machinery import ipynb


def student_copy(book: dict) -> int:
    """Clear the outputs and take out the cells tagged `our-run`, in place; returns how many."""
    before = len(book["cells"])
    book["cells"] = [
        cell for cell in book["cells"] if "our-run" not in cell["metadata"].get("tags", [])
    ]
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = []
            cell["execution_count"] = None
    return before - len(book["cells"])


def main(arguments: list[str] | None = None) -> None:
    """The program; `arguments` are those of the command line."""
    notebooks = config.root / "notebooks"
    known = ipynb.names(notebooks)
    parser = argparse.ArgumentParser("python tools/class_copies.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("out", metavar="OUT", type=Path, help="the folder to write into")
    parser.add_argument("names", metavar="NAME", nargs="*", help="a notebook's: 05_resnet")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        parser.error(f"There is no notebook {unknown[0]}: choose from {', '.join(known)}.")

    folder = options.out / "notebooks"
    if folder.resolve() == notebooks.resolve():
        parser.error("OUT is the course's own folder: name another, whose files may be replaced.")
    shutil.copytree(notebooks / "figures", folder / "figures", dirs_exist_ok=True)
    left_out = 0
    names = options.names or known
    for name in names:
        book = json.loads((notebooks / f"{name}.ipynb").read_text(encoding="utf-8"))
        left_out += student_copy(book)
        text = json.dumps(book, indent=1, ensure_ascii=False) + "\n"
        (folder / f"{name}.ipynb").write_text(text, encoding="utf-8", newline="\n")
    count = f"{len(names)} notebook{'' if len(names) == 1 else 's'}"
    print(f"{count} in {folder}, without outputs; left out: {left_out} cells on our own runs.")


if __name__ == "__main__":
    main()

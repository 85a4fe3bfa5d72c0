"""For maintainers: executes a notebook as the course saves it, and writes its outputs into it.

    .venv/bin/python tools/execute.py 05_resnet 06_resnext [--keep CELL_ID ...] [--run full]
    .venv/bin/python tools/execute.py 05_resnet --only CELL_ID ...

Each notebook gets a fresh kernel in the folder notebooks/. Of your environment it sees only where
data and runs lie (COURSE_DATA_DIR, COURSE_RUNS_DIR); it trains on the real data, and goes on from a
checkpoint where there is one: `tools/rebuild_run.py` makes one from the course's record. Cells
named with --keep, dear ones whose code did not change, are not run and keep the outputs that they
have. --only is its opposite: the cells that it names are run, after the two that set up and those
that define the network, and all others keep what they have. A notebook whose cell fails stays as it
was.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils import config

# What a reader's shell may set, and what would change the numbers or the words in the outputs.
LEFT_OUT = ("COURSE_", "PYTHON", "IPYTHON", "JUPYTER_", "MPL", "OMP_", "MKL_", "TQDM_", "TORCH")
METADATA = ("course", "kernelspec", "language_info")  # all else is of one machine, or of one tab
SLOWEST = 10  # cells whose seconds are printed


def kernel_environment(run: str, own: str) -> dict[str, str]:
    """What the kernel sees; `own` is an empty folder, in place of the reader's IPython settings."""
    env = {name: text for name, text in os.environ.items() if not name.startswith(LEFT_OUT)}
    env["COURSE_DATA_DIR"] = str(config.data_dir)
    env["COURSE_RUNS_DIR"] = str(config.runs_dir)
    env["COURSE_RUN"] = run
    env["COURSE_DATA"] = "official"
    env["COURSE_RESUME"] = "yes"
    env["TQDM_DISABLE"] = "1"
    env["IPYTHONDIR"] = own
    return env


def check_kept(book: NotebookNode, keep: list[str], name: str) -> None:
    """Stop if a cell to keep is not there, or has nothing to keep."""
    cells = {cell.id: cell for cell in book.cells if cell.cell_type == "code"}
    for cell_id in keep:
        if cell_id not in cells:
            raise SystemExit(f"{name} has no code cell {cell_id}: correct --keep.")
        if not cells[cell_id].outputs:
            raise SystemExit(f"Cell {cell_id} of {name} has no outputs: run it, without --keep.")


def all_but(book: NotebookNode, only: list[str], name: str) -> list[str]:
    """The code cells that keep their outputs where only some are run: all but these and the first.

    The first: find-utils, imports, and those with the tag `network`.
    """
    ids = [cell.id for cell in book.cells if cell.cell_type == "code"]
    unknown = [cell_id for cell_id in only if cell_id not in ids]
    if unknown:
        raise SystemExit(f"{name} has no code cell {unknown[0]}: correct --only.")
    first = ["find-utils", "imports"]
    first += [cell.id for cell in book.cells if "network" in cell.metadata.get("tags", [])]
    return [cell_id for cell_id in ids if cell_id not in only and cell_id not in first]


async def run_cells(client: NotebookClient, keep: list[str], env: dict[str, str]) -> dict:
    """Run all cells but those to keep, in a kernel of their own: {cell id: seconds}."""
    seconds = {}
    async with client.async_setup_kernel(env=env):
        for number, cell in enumerate(client.nb.cells):
            if cell.cell_type != "code" or cell.id in keep:
                continue
            start = time.perf_counter()
            await client.async_execute_cell(cell, number)
            seconds[cell.id] = time.perf_counter() - start
        message = await client.kc.kernel_info(reply=True, timeout=60)
    client.nb.metadata["language_info"] = message["content"]["language_info"]
    return seconds


def clean_text(text: str) -> str:
    """Without this machine's folders: as a reader sees them who set no variable."""
    text = text.replace(f"{config.runs_dir}{os.sep}", "data/runs/")
    text = text.replace(f"{config.data_dir}{os.sep}", "data/")
    return text.replace(f"{config.root}{os.sep}", "")


def clean_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Printed text in one piece, nothing of stderr, no folders of this machine."""
    cleaned: list[NotebookNode] = []
    for output in outputs:
        if output.output_type != "stream":
            if "text/plain" in output.get("data", {}):
                output.data["text/plain"] = clean_text(output.data["text/plain"])
            cleaned.append(output)
        elif output.name == "stderr":
            print(f"    left out, from stderr: {output.text.strip()}")
        elif cleaned and cleaned[-1].output_type == "stream":
            cleaned[-1].text += clean_text(output.text)
        else:
            output.text = clean_text(output.text)
            cleaned.append(output)
    return cleaned


def clean(book: NotebookNode) -> None:
    """Number the code cells, and take out what another machine or another day would change."""
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        cell.execution_count = number
        cell.outputs = clean_outputs(cell.outputs)
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = number
    for cell in book.cells:
        cell.metadata = NotebookNode({k: v for k, v in cell.metadata.items() if k == "tags"})
    book.metadata = NotebookNode({k: v for k, v in book.metadata.items() if k in METADATA})


def execute(name: str, keep: list[str], only: list[str], run: str, timeout: int) -> None:
    """Run one notebook and write it, with its outputs, where it was."""
    path = config.root / "notebooks" / f"{name}.ipynb"
    if not path.is_file():
        raise SystemExit(f"There is no notebook {name}: give a name such as 05_resnet.")
    book = nbformat.read(path, as_version=4)
    check_kept(book, keep, name)
    if only:
        keep = all_but(book, only, name)
    client = NotebookClient(
        book,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as own:
        try:
            seconds = asyncio.run(run_cells(client, keep, kernel_environment(run, own)))
        except CellExecutionError as error:
            raise SystemExit(f"{error}\n{name} was left as it was.") from None
    clean(book)
    path.write_text(nbformat.writes(book) + "\n", encoding="utf-8", newline="\n")
    print(f"{name}: {time.perf_counter() - start:.0f} s, {len(seconds)} cells run; the slowest:")
    slowest = sorted(seconds, key=lambda cell_id: seconds[cell_id], reverse=True)
    for cell_id in slowest[:SLOWEST]:
        print(f"    {seconds[cell_id]:8.1f} s  {cell_id}")


def main(arguments: list[str] | None = None) -> None:
    """The program; `arguments` are those of the command line."""
    parser = argparse.ArgumentParser("python tools/execute.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", metavar="NAME", nargs="+", help="a notebook's: 05_resnet")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--keep", metavar="CELL_ID", nargs="*", default=[])
    chosen.add_argument("--only", metavar="CELL_ID", nargs="*", default=[])
    parser.add_argument("--run", choices=list(config.RUN_SIZES), default="full")
    parser.add_argument("--timeout", type=int, default=4 * 3600, help="seconds a cell may take")
    options = parser.parse_args(arguments)
    for name in options.names:
        execute(name, options.keep, options.only, options.run, options.timeout)


if __name__ == "__main__":
    main()

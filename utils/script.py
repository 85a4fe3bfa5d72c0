"""Run a notebook as a plain program, on one device, or on several under PyTorch's launcher:

    python -m utils.script notebooks/10_mobilenet_v2.ipynb
    torchrun --nproc-per-node=2 -m utils.script notebooks/10_mobilenet_v2.ipynb

The code cells run in their order; no Jupyter is needed. Lines for Jupyter alone (%matplotlib, !pip) are left out, and
figures go to files. Under torchrun every process runs every cell, train() and evaluate() share out the work, and only
the first process prints and keeps files.
"""

import argparse
import ast
import json
import linecache
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

# Whatever imports torch is imported in run(): --help and a wrong name need not wait for it.

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
STOPPED = 130  # the exit status of a program that Ctrl-C ended


class Cell(NamedTuple):
    """A code cell: its id (or its place, in old notebooks) and its source."""

    name: str
    source: str


# --- the notebook -------------------------------------------------------------------------------------------


def find(notebook: str) -> Path:
    """The notebook at this path, or of this name in notebooks/, with or without .ipynb. ValueError if there is none."""
    for path in (Path(notebook), FOLDER / notebook, FOLDER / f"{notebook}.ipynb"):
        if path.is_file():
            return path.resolve()
    known = ", ".join(sorted(path.stem for path in FOLDER.glob("[0-9]*.ipynb")))
    raise ValueError(f"There is no notebook {notebook}: give its path, or one of {known}.")


def read_cells(path: Path) -> list[Cell]:
    """The code cells of a notebook. ValueError if the file is none."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [
            Cell(cell.get("id", f"number {number}"), "".join(cell["source"]))
            for number, cell in enumerate(cells, start=1)
            if cell["cell_type"] == "code"
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path.name} is no notebook of Jupyter's format 4: give an .ipynb file.") from error


def without_magics(source: str) -> tuple[str, list[str]]:
    """The source with `pass` in place of each line that only Jupyter understands, and these lines.

    Such lines (%matplotlib, !pip, net?) are where Python's own parser stumbles, so a % inside an expression or a
    string stays. A cell magic (%%time) loses its first line; but those of other languages (%%bash) lose the cell.
    """
    lines, left_out = source.split("\n"), []
    if source.startswith("%%"):
        left_out.append(lines[0])
        rest = lines[1:] if lines[0].split()[0] in ("%%time", "%%timeit", "%%capture") else []
        lines = ["pass", *rest]
    while True:
        try:
            ast.parse("\n".join(lines))
        except SyntaxError as error:
            number = (error.lineno or 0) - 1
            line = lines[number].strip() if 0 <= number < len(lines) else ""
            if not line.startswith(("%", "!", "?")) and not line.endswith("?"):
                break  # an error of another kind: Python will tell
            left_out.append(line)
            lines[number] = lines[number].removesuffix(lines[number].lstrip()) + "pass"
        else:
            break
    return "\n".join(lines), left_out


def run_cell(cell: Cell, notebook: str, module: ModuleType) -> None:
    """Run a cell in the module; print the value of its last expression, as Jupyter shows it."""
    source, left_out = without_magics(cell.source)
    for line in left_out:
        print(f"Left out of the cell {cell.name}, since only Jupyter understands it: {line}")
    name = f"<{notebook}, cell {cell.name}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)  # for tracebacks
    tree = ast.parse(source, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec", dont_inherit=True), module.__dict__)
    if last:
        value = eval(compile(ast.Expression(last.value), name, "eval", dont_inherit=True), module.__dict__)
        if value is not None and not source.rstrip().endswith(";"):
            print(repr(value))


class Figures:
    """Takes the place of the window in which matplotlib shows figures: `save` writes all that are open to files."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder  # None: figures are closed, and that is all
        self.cell, self.names = "", []

    def save(self, *_: Any, **__: Any) -> None:
        """Write <cell>.png, <cell>_2.png and so on; close the figures."""
        import matplotlib.pyplot as plt

        for number in plt.get_fignums() if self.folder else ():
            safe = re.sub(r"[^\w.-]+", "_", self.cell)
            count = 1 + sum(cell == self.cell for cell, _ in self.names)
            name = f"{safe}.png" if count == 1 else f"{safe}_{count}.png"
            self.folder.mkdir(parents=True, exist_ok=True)
            plt.figure(number).savefig(self.folder / name, bbox_inches="tight")
            self.names.append((self.cell, name))
        plt.close("all")


# --- when something goes wrong ------------------------------------------------------------------------------


def explain(error: BaseException, notebook: str, cell: str) -> str:
    """The error and where in the notebook it arose; the course's own errors say all in a sentence and get no more."""
    shown = traceback.TracebackException.from_exception(error)
    frames = [frame for frame in shown.stack if frame.filename != __file__]
    if type(error).__module__.startswith("utils."):
        frames = [frame for frame in frames if frame.filename.startswith(f"<{notebook}, cell ")]
        shown.__cause__ = shown.__context__ = None
    shown.stack = traceback.StackSummary.from_list(frames)
    return f"The cell {cell} of {notebook} failed.\n" + "".join(shown.format()).rstrip()


def _going_on() -> str:
    """What happens after the death of a process of several, from what torchrun says about itself."""
    restarts, most = (
        int(os.environ.get(f"TORCHELASTIC_{name}", "0")) for name in ("RESTART_COUNT", "MAX_RESTARTS")
    )
    if restarts < most:
        return f"All start again (restart {restarts + 1} of {most}) and go on from the last checkpoint."
    return "Start again with --resume to go on from the last checkpoint, or with torchrun's --max-restarts=3 at once."


def _lost(error: BaseException) -> bool:
    """Whether the error only says that other processes cannot be reached: gloo has no class of its own for this."""
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    )


class Herald:
    """Sees to it that of several processes that fail, one says why: the first. torchrun ends the others."""

    def __init__(self) -> None:
        from utils import distributed

        self.several, self.name, self.folder = distributed.processes() > 1, "", None
        self.cell, self.stopping = "", False
        if self.several:
            self.name = f"Process {distributed.rank()} of {distributed.processes()}: "
            self.claim = distributed.claim("failure")
            _call_on_signals({signal.SIGTERM: self.terminated, signal.SIGINT: self.stopped})
        else:
            signal.signal(signal.SIGINT, self.interrupted)

    def interrupted(self, *_: Any) -> NoReturn:
        """Ctrl-C: train() catches this exception, as a notebook wants it; but a program ends after that cell."""
        self.stopping = True
        raise KeyboardInterrupt

    def stopped(self) -> NoReturn:
        """Ctrl-C, at once or after the cell."""
        self.fail(
            f"Stopped in the cell {self.cell}; with --resume, train() goes on from its last checkpoint.",
            STOPPED,
        )

    def terminated(self) -> NoReturn:
        """torchrun asks this process to end: another one has died, or torchrun itself has been asked."""
        self.fail(f"Another process has died, or the run was stopped from outside. {_going_on()}")

    def lost(self) -> NoReturn:
        """Another process does not answer any more. If it has died, torchrun ends this one, and reports which it was."""
        if self.claim():
            self.say(f"Another process has died or does not answer. {_going_on()}")
        time.sleep(20)
        self.fail("")

    def say(self, sentence: str) -> None:
        print(f"\n{self.name}{sentence}\n", file=sys.stderr, flush=True)

    def fail(self, sentence: str, status: int = 1) -> NoReturn:
        """Say it, unless another process has said why the run ends, and end without waiting for anybody."""
        if not self.several:
            print(sentence, file=sys.stderr)
            sys.exit(status)
        if self.claim():
            self.say(sentence)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _call_on_signals(acts: dict[int, Callable[[], None]]) -> None:
    """Call them in a thread of their own, since the main thread may be waiting for a GPU or another process."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in acts:
        signal.signal(number, lambda *_: None)

    def wait() -> None:
        while True:
            acts.get(os.read(reading, 1)[0], lambda: None)()

    threading.Thread(target=wait, daemon=True).start()


# --- the program --------------------------------------------------------------------------------------------


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    course = ast.get_docstring(ast.parse(Path(__file__).with_name("config.py").read_text(encoding="utf-8")))
    parser = argparse.ArgumentParser(
        prog="python -m utils.script",
        description=__doc__,
        epilog="The environment decides the rest:\n\n" + course.split("\n\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("notebook", help="its path, or its name alone: 10_mobilenet_v2")
    parser.add_argument(
        "--figures", type=Path, metavar="FOLDER", help="where figures go (figures/ in the folder of this run)"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on from the last checkpoint, like COURSE_RESUME=yes"
    )
    parser.add_argument(
        "--sync-batch-norm",
        action="store_true",
        help="several processes: batch norms over the images of all of them",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=10,
        metavar="MINUTES",
        help="several processes: how long to wait for one that does not answer (10)",
    )
    options = parser.parse_args(arguments)
    try:
        options.notebook = find(options.notebook)
        options.cells = read_cells(options.notebook)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return options


def run(options: argparse.Namespace) -> None:
    """Run the notebook; ends the program with a message if that fails."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until the cells begin, Ctrl-C ends it without a word
    if not sys.stdout.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # bars are for terminals
        sys.stdout.reconfigure(line_buffering=True)
    try:
        from utils import config, distributed
    except ValueError as error:  # config.ConfigError: a setting in the environment is wrong
        # Most likely rank 0 says the same; then torchrun ends this process before it does.
        time.sleep(2 * int(os.environ.get("RANK", "0")))
        sys.exit(str(error))
    import matplotlib
    import matplotlib.pyplot as plt

    matplotlib.use("agg")
    config.sync_batch_norm = options.sync_batch_norm
    distributed.start(config.device, options.timeout)
    herald = Herald()
    restarts = distributed.restarts()
    config.resume = config.resume or options.resume or restarts > 0

    name = options.notebook.stem
    if distributed.is_main():
        try:
            folder = options.figures.absolute() if options.figures else config.run_folder(name) / "figures"
        except config.ConfigError as error:
            herald.fail(str(error))
    else:  # this one keeps nothing, and what its cells write is out of the way of the first process's files
        folder, config.runs_dir = None, Path(tempfile.mkdtemp(prefix="course-run-"))
        herald.folder = config.runs_dir
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (for as long as the program runs)
        warnings.simplefilter("ignore")
    if distributed.processes() > 1:
        print(f"{name} in {distributed.processes()} processes, each with its share of every batch.")
    if restarts:
        print("A restart: going on from the last checkpoint.")

    figures = Figures(folder)
    plt.show = figures.save
    module = ModuleType("__main__")  # as in Jupyter, so that classes of cells can be pickled
    module.display = print
    sys.modules["__main__"], sys.argv = module, [str(options.notebook)]
    os.chdir(options.notebook.parent)
    try:
        for cell in options.cells:
            herald.cell = figures.cell = cell.name
            run_cell(cell, name, module)
            figures.save()
            if herald.stopping:
                herald.stopped()
        distributed.stop()
    except KeyboardInterrupt:
        herald.stopped()
    except Exception as error:
        if herald.several and _lost(error):
            herald.lost()
        herald.fail(explain(error, name, herald.cell))
    if herald.folder:
        shutil.rmtree(herald.folder, ignore_errors=True)
    if figures.names:
        print(f"Figures: {len(figures.names)}, in {config.relative(folder)}")


if __name__ == "__main__":
    run(_arguments(None))

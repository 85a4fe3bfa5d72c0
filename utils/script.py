"""Run a notebook as a plain program, on one device, or on several under PyTorch's launcher:

    python -m utils.script 10_mobilenet_v2
    torchrun --nproc-per-node=2 -m utils.script 10_mobilenet_v2

IPython runs the code cells in their order, without Jupyter; figures go to files. Under torchrun
every process runs every cell, train() shares out the work, and only the first process prints and
keeps files.
"""

import os
import signal
import sys
import tempfile
import time
import traceback
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from utils.machinery import ipynb  # what needs PyTorch is imported later: --help need not wait

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
RANK = int(os.environ.get("RANK", "0"))  # torchrun numbers its processes


class Figures:
    """Saves the figures of each cell as <cell>.png, <cell>_2.png and so on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cell = ""  # the id of the cell that runs
        self.cells: list[str] = []  # of each saved figure

    def save(self) -> None:
        """Save and close what is open; the first process alone writes."""
        import matplotlib.pyplot as plt

        if RANK == 0:
            for number in plt.get_fignums():
                self.folder.mkdir(parents=True, exist_ok=True)
                plt.figure(number).savefig(self._next_path(), bbox_inches="tight")
        plt.close("all")

    def _next_path(self) -> Path:
        self.cells.append(self.cell)
        count = self.cells.count(self.cell)
        name = self.cell if count == 1 else f"{self.cell}_{count}"
        return self.folder / f"{name}.png"


def notebook(name: str) -> tuple[Path, dict[str, str]]:
    """A notebook by its path, or its name in notebooks/: (path, each code cell's source by id)."""
    for path in (Path(name), FOLDER / name, FOLDER / f"{name}.ipynb"):
        if path.is_file():
            try:
                cells = ipynb.code_cells(ipynb.read(path))
            except ValueError as error:
                raise ArgumentTypeError(f"{name} cannot be read as a notebook: {error}") from error
            return path.resolve(), {cell.id: cell.source for cell in cells}
    known = ", ".join(ipynb.names(FOLDER))
    raise ArgumentTypeError(f"there is no {name}: give its path, or one of {known}.")


def make_shell(name: str, figures: Figures, errors: list[Any], scratch: str) -> InteractiveShell:
    """IPython without a screen: errors go into the list, figures into files."""

    def keep_error(*_: Any, **__: Any) -> None:
        errors.append(sys.exc_info()[1])

    def name_code(*_: Any) -> str:  # for tracebacks
        return f"<{name}, cell {figures.cell}>"

    def ignore_backend(gui: str | None = None) -> tuple[str | None, str]:
        return gui, "agg"  # so that %matplotlib inline changes nothing

    no_history = Config(HistoryManager={"enabled": False})
    shell = InteractiveShell.instance(ipython_dir=scratch, colors="nocolor", config=no_history)
    for part, method, ours in (
        (shell.compile, "get_code_name", name_code),
        (shell, "enable_matplotlib", ignore_backend),
        (shell, "showtraceback", keep_error),
        (shell, "showsyntaxerror", keep_error),
    ):
        setattr(part, method, ours)
    return shell


def catch_signals(errors: list[Any]) -> None:
    """Ctrl-C and SIGTERM end the program after the cell, even if train() ends quietly by itself."""

    def stop(*_: Any) -> None:
        errors.insert(0, KeyboardInterrupt())
        raise errors[0]

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def run(path: Path, cells: dict[str, str], options: Namespace, scratch: str) -> None:
    """Run the notebook; `scratch` is a folder for what nobody keeps."""
    import matplotlib.pyplot as plt
    import torch.distributed as dist

    from utils import config
    from utils.machinery import distributed

    if options.sync_batch_norm and config.device.type != "cuda":
        sys.exit("PyTorch has --sync-batch-norm for GPUs only: leave it out.")
    distributed.start(config.device, options.timeout, options.sync_batch_norm)

    folder = options.figures or config.runs_dir / config.run.name / path.stem / "figures"
    figures = Figures(folder.absolute())
    errors: list[Any] = []
    shell = make_shell(path.stem, figures, errors, scratch)

    def show(*_: Any, **__: Any) -> None:  # pyplot wants a plain function
        figures.save()

    plt.show = show
    sys.argv = [str(path)]
    os.chdir(path.parent)
    catch_signals(errors)

    for cell, source in cells.items():
        figures.cell = cell
        result = shell.run_cell(source, store_history=True)
        error = errors[0] if errors else result.error_in_exec
        if error is not None:
            error.add_note(f"The cell {cell} of {path.stem} failed.")
            raise error.with_traceback(error.__traceback__.tb_next)
        figures.save()
    if dist.is_initialized():
        dist.destroy_process_group()
    if figures.cells:
        print(f"Figures: {len(figures.cells)}, in {config.relative(figures.folder)}")


def fail(error: Exception) -> None:
    """End with this error, unless another process failed before; torchrun reports it."""
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    # Where another process has died, torchrun ends this one while it waits here; an error that all
    # processes make is told by the first.
    lost = "gloo" in str(error) or type(error).__name__.startswith("Dist")  # DistBackendError, ...
    if lost:
        time.sleep(30)
    elif RANK:
        time.sleep(3)
    own = error.__traceback__
    for _ in range(2):  # the program's own frames
        own = own.tb_next if own else None
    cause = error.__cause__
    if isinstance(cause, Exception) and raised_in_a_cell(cause):
        for note in getattr(error, "__notes__", ()):
            cause.add_note(note)
        error = cause  # the mistake of the reader, with its line
        own = cause.__traceback__
    get_error_handler().record_exception(error)
    if type(error).__module__.startswith("utils."):  # an error of the course: its sentence says all
        print(*getattr(error, "__notes__", ()), error, file=sys.__stderr__)
    else:
        traceback.print_exception(None, error, own, file=sys.__stderr__)
    sys.exit(1)


def raised_in_a_cell(error: Exception) -> bool:
    """Whether the line that raised it stands in the notebook, and in no package."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.startswith("<")


def read_options() -> Namespace:
    """What stands on the command line."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        "notebook", type=notebook, help="its path, or its name alone: 10_mobilenet_v2"
    )
    parser.add_argument(
        "--figures", type=Path, metavar="FOLDER", help="for figures (this run's own/figures)"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint")
    parser.add_argument(
        "--sync-batch-norm", action="store_true", help="on GPUs: over the images of all"
    )
    parser.add_argument(
        "--timeout", type=float, default=10, metavar="MINUTES", help="for a silent process"
    )
    return parser.parse_args()


def prepare(options: Namespace, scratch: str) -> None:
    """The streams and the environment, before the course reads them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace", line_buffering=True)
    os.environ["MPLBACKEND"] = "agg"
    if not sys.stdout.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # bars are for terminals
    if options.resume or os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0":
        os.environ["COURSE_RESUME"] = "yes"
    if RANK:
        os.environ["COURSE_RUNS_DIR"] = scratch
        nowhere = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (open to the end)
        sys.stdout = sys.stderr = nowhere


def main() -> None:
    """Run the notebook that the command line names."""
    options = read_options()
    path, cells = options.notebook
    with tempfile.TemporaryDirectory(prefix="course-run-", ignore_cleanup_errors=True) as scratch:
        prepare(options, scratch)
        try:
            try:
                run(path, cells, options, scratch)
            except Exception as error:
                fail(error)
        except KeyboardInterrupt:
            told = "Stopped; with --resume, train() goes on from its last checkpoint."
            print(told, file=sys.stderr)
            sys.exit(130)


if __name__ == "__main__":
    main()

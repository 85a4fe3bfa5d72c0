"""Run a notebook as a plain program, on one device, or on several under PyTorch's launcher:

    python -m utils.script 10_mobilenet_v2
    torchrun --nproc-per-node=2 -m utils.script 10_mobilenet_v2

IPython runs the code cells in their order, without Jupyter; figures go to files. Under torchrun every process runs
every cell, train() shares out the work, and only the first process prints and keeps files.
"""

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
RANK = int(os.environ.get("RANK", "0"))  # torchrun numbers its processes


def notebook(name: str) -> tuple[Path, dict[str, str]]:
    """A notebook by its path, or by its name in notebooks/: (path, the source of each code cell by the cell's id)."""
    for path in (Path(name), FOLDER / name, FOLDER / f"{name}.ipynb"):
        if path.is_file():
            cells = enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"], start=1)
            code = (
                (c.get("id", f"number {n}"), c["source"])
                for n, c in cells
                if c["cell_type"] == "code"
            )
            return path.resolve(), {cell: "".join(source) for cell, source in code}
    known = ", ".join(sorted(path.stem for path in FOLDER.glob("[0-9]*.ipynb")))
    raise ArgumentTypeError(f"there is no {name}: give its path, or one of {known}.")


def fail(error: Exception) -> None:
    """End with this error, unless another process failed before; torchrun reports it."""
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    lost = "gloo" in str(error) or type(error).__name__.startswith(
        "Dist"
    )  # PyTorch's DistBackendError, ...
    # If another process has died, torchrun ends this one meanwhile; an error that all have is told by the first.
    time.sleep(30 if lost else 3 if RANK else 0)
    get_error_handler().record_exception(error)
    if type(error).__module__.startswith("utils."):  # an error of the course: its sentence says all
        print(*getattr(error, "__notes__", ()), error, file=sys.__stderr__)
    else:
        traceback.print_exception(
            None, error, error.__traceback__.tb_next.tb_next, file=sys.__stderr__
        )
    sys.exit(1)


def run(path: Path, cells: dict[str, str], options: Namespace, scratch: str) -> None:
    """Run the notebook; `scratch` is a folder for what nobody keeps."""
    import matplotlib.pyplot as plt
    import torch.distributed as dist  # not above: --help and a wrong name need not wait for it

    from utils import config
    from utils.machinery import distributed

    if options.sync_batch_norm and config.device.type != "cuda":
        sys.exit("PyTorch has --sync-batch-norm for GPUs only: leave it out.")
    distributed.start(config.device, options.timeout, options.sync_batch_norm)
    figures = (
        options.figures or config.runs_dir / config.run.name / path.stem / "figures"
    ).absolute()
    errors, names = [], []

    def save_figures(*_: object, **__: object) -> None:  # <cell>.png, <cell>_2.png and so on
        for number in plt.get_fignums() if RANK == 0 else ():
            figures.mkdir(parents=True, exist_ok=True)
            names.append(cell)
            count = f"_{names.count(cell)}".removesuffix("_1")
            plt.figure(number).savefig(figures / f"{cell}{count}.png", bbox_inches="tight")
        plt.close("all")

    def stop(*_: object) -> None:  # train() may catch it, but after the cell the program ends
        errors.insert(0, KeyboardInterrupt())
        raise errors[0]

    plt.show, sys.argv = save_figures, [str(path)]
    os.chdir(path.parent)
    no_history = Config(HistoryManager={"enabled": False})
    shell = InteractiveShell.instance(ipython_dir=scratch, colors="nocolor", config=no_history)
    shell.compile.get_code_name = lambda *_: f"<{path.stem}, cell {cell}>"
    shell.enable_matplotlib = lambda gui=None: (gui, "agg")  # %matplotlib inline changes nothing
    shell.showtraceback = shell.showsyntaxerror = lambda *_, **__: errors.append(sys.exc_info()[1])
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    for cell, source in cells.items():
        result = shell.run_cell(source, store_history=True)
        if error := errors[0] if errors else result.error_in_exec:
            error.add_note(f"The cell {cell} of {path.stem} failed.")
            raise error.with_traceback(error.__traceback__.tb_next)
        save_figures()
    if dist.is_initialized():
        dist.destroy_process_group()
    if names:
        print(f"Figures: {len(names)}, in {config.relative(figures)}")


def main() -> None:
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
    options = parser.parse_args()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="replace", line_buffering=True)
    os.environ["MPLBACKEND"] = "agg"
    if not sys.stdout.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")  # bars are for terminals
    if options.resume or os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0":
        os.environ["COURSE_RESUME"] = "yes"
    with tempfile.TemporaryDirectory(prefix="course-run-", ignore_cleanup_errors=True) as scratch:
        if RANK:
            os.environ["COURSE_RUNS_DIR"] = scratch
            sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        try:
            try:
                run(*options.notebook, options, scratch)
            except Exception as error:
                fail(error)
        except KeyboardInterrupt:
            print(
                "Stopped; with --resume, train() goes on from its last checkpoint.", file=sys.stderr
            )
            sys.exit(130)


if __name__ == "__main__":
    main()

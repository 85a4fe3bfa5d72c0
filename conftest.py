"""Sets up the quick run for `pytest` and for `pytest notebooks/x.ipynb`: what a notebook's kernel sees, too.

Whatever the reader's environment says, a test run does little, downloads nothing and touches no checkpoints of the
reader's. Only the data folder is the reader's, where COURSE_DATA_DIR names one.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

_runs = tempfile.mkdtemp(
    prefix="course-test-"
)  # each worker of pytest-xdist comes here, and has a folder of its own
atexit.register(shutil.rmtree, _runs, ignore_errors=True)

for _name in [
    name for name in os.environ if name.startswith("COURSE_") and name != "COURSE_DATA_DIR"
]:
    del os.environ[_name]
os.environ |= {
    "COURSE_RUN": "quick",
    "COURSE_DATA": "auto",
    "COURSE_RUNS_DIR": _runs,
    "TQDM_DISABLE": "1",
}
os.environ["COURSE_PRECISION"] = "float32"  # the same numbers on every processor
if "PYTEST_XDIST_WORKER" in os.environ:  # there is a worker for each core already
    os.environ["OMP_NUM_THREADS"] = "1"

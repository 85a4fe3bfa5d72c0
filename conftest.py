"""Sets up the quick run for `pytest` and for `pytest notebooks/x.ipynb`: what a notebook's kernel sees, too.

A test run never touches a reader's own checkpoints, and never downloads.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

_runs = tempfile.mkdtemp(prefix="course-test-")
atexit.register(shutil.rmtree, _runs, ignore_errors=True)

os.environ.setdefault("COURSE_RUN", "quick")
os.environ["COURSE_RUNS_DIR"] = _runs
os.environ["TQDM_DISABLE"] = "1"
for name in ("COURSE_EPOCHS", "COURSE_PRECISION", "COURSE_RESUME"):
    os.environ.pop(name, None)

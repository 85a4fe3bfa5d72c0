"""Sets up the quick run for pytest: what a test sees, and what a notebook's kernel sees.

Whatever the reader's environment says, a test run does little, downloads nothing and touches no
checkpoints of the reader's. Only the data folder is the reader's, where COURSE_DATA_DIR names one.
"""

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# Copies that JupyterLab or a browser made, 10_mobilenet_v2-Copy1.ipynb say, are the reader's own.
collect_ignore_glob = ["notebooks/*[!a-z0-9_]*.ipynb"]

# Each worker of pytest-xdist comes here, and has a folder of its own.
_runs = tempfile.mkdtemp(prefix="course-test-")
atexit.register(shutil.rmtree, _runs, ignore_errors=True)

for _name in list(os.environ):
    if _name.startswith("COURSE_") and _name != "COURSE_DATA_DIR":
        del os.environ[_name]
os.environ["COURSE_RUN"] = "quick"
os.environ["COURSE_DATA"] = "auto"
os.environ["COURSE_RUNS_DIR"] = _runs
os.environ["COURSE_PRECISION"] = "float32"  # the same numbers on every processor
os.environ["TQDM_DISABLE"] = "1"
# The networks of a quick run are so small that threads, which wait for each other, cost time.
os.environ["OMP_NUM_THREADS"] = "1"

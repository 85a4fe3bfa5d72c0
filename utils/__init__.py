"""What every notebook of the course shares; modules from config (lowest) to lesson (highest).

An older Python ends here, with one sentence; so it must be able to read these lines.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (ruff knows that we want 3.11; a reader may have less)
    major, minor = sys.version_info[:2]
    raise ImportError(
        f"The course needs Python 3.11 or newer; this is {major}.{minor}: "
        "make the environment again with a newer Python."
    )

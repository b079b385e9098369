"""The charts of the HTML report, drawn by matplotlib on `canvas`: of a verdict, of a recording, and of both.

Every figure in them is also in the table beneath. What is told apart by colour differs in shape or fill as well.
Importing any of them costs matplotlib: only `reports.html` does.
"""

import os


def _import_matplotlib() -> None:
    """Import it from the root directory: a `matplotlibrc` in the working directory would come before root's own."""
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.chdir("/")
        import matplotlib  # noqa: F401, PLC0415  what it reads, it reads at its first import
    finally:
        os.fchdir(here)
        os.close(here)


_import_matplotlib()

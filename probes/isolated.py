"""How jostle starts a Python of its own: with nothing on its path that the caller's directory or environment put there.

    python -I -S probes/isolated.py MODULE [WORD…]

`python -m MODULE` would look into the working directory first, and so would an empty entry of PYTHONPATH: root, in a
directory that a tenant can write, would run the tenant's `agent/…` or `json.py`. `-I` leaves both out, and the user's
own site-packages. `-S` lets the directory that jostle was loaded from come after the standard library and before the
installed packages, so that a child is of the same jostle as its parent.
"""

import runpy
import shlex
import site
import sys
from pathlib import Path

_HERE = Path(__file__).resolve()


def python(module: str, *words: str) -> list[str]:
    """The argument vector of a process that runs one of jostle's modules as its `__main__`.

    Arguments:
        module: Dotted name, such as `probes.compiler`.
        words: Its arguments, `sys.argv[1:]` there.
    """
    return [sys.executable, "-I", "-S", str(_HERE), module, *words]


def python_shell(module: str) -> str:
    """The command of `python` as words for a shell; arguments may follow."""
    return shlex.join(python(module))


def main() -> None:
    """Become the module that the first argument names."""
    sys.path.append(str(_HERE.parent.parent))
    site.main()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

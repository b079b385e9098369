"""The manual page: made of the commands as they are, so that it says nothing else than `--help` (`install.sh`).

`python -m agent.cli.manual` writes it, as man(7) has it, to standard output.
"""

import re
import sys
from importlib.metadata import version
from typing import Any

import typer

from agent.cli.app import COMMANDS, app, register

_TAIL = r"""
.SH EXIT STATUS
.TP
0
Done, whatever the verdict.
.TP
1
Failed; one line on standard error says what, where and what to do.
.TP
2
Bad usage or bad input.
.TP
3
This host cannot do it: a privilege or a kernel feature is missing.
.TP
10, 11
Interference, inconclusive; only with \fBexperiment \-\-gate\fR.
.TP
130
Interrupted; what was measured so far is kept and said to be partial.
.PP
\fBjostle record \-\- COMMAND\fR ends with the code of COMMAND, or 128 and the number of the signal that killed it.
.SH ENVIRONMENT
.TP
COLUMNS
How wide tables may be.
.TP
NO_COLOR, TERM=dumb
No colours.
.TP
LC_ALL=C
ASCII only.
.SH FILES
.TP
/etc/jostle/jostle.toml
The configuration of the agent.
.TP
/var/lib/jostle/history.db
Its history.
.SH NOTES
A DURATION is 10, 10s, 500ms, 10m, 2h or 1d; a plain number is one of seconds. A CGROUP is a path, a unit, a container,
NAMESPACE/POD[/CONTAINER], a PID or a process name.
.SH SEE ALSO
/usr/share/doc/jostle
"""


def manual() -> str:
    """The whole page."""
    register(*COMMANDS)
    root: Any = typer.main.get_command(app)
    said = version("jostle")
    parts = [
        f'.TH JOSTLE 1 "" "jostle {said}" "User Commands"',
        ".SH NAME\njostle \\- find out who slows a workload on this host",
        ".SH SYNOPSIS\n.B jostle\n[\\fB\\-\\-debug\\fR] \\fICOMMAND\\fR …".replace("…", "..."),
        f".SH DESCRIPTION\n{_text(root.help)}",
        f".SH OPTIONS\n{_options(root)}",
        ".SH COMMANDS",
        *(_command(name, root.commands[name]) for name in COMMANDS),
    ]
    return "\n".join(parts) + _TAIL


def _command(name: str, command: Any) -> str:  # noqa: ANN401  a class that typer does not export
    arguments = " ".join(
        _text(p.metavar or p.name) for p in command.params if p.param_type_name == "argument"
    )
    head = f".SS jostle {name} [OPTIONS] {arguments}".rstrip()
    return "\n".join([head, _text(command.help), _options(command), f".PP\n{_text(command.epilog or '')}"])


def _options(command: Any) -> str:  # noqa: ANN401  as above
    lines = []
    for option in command.params:
        spelt = ", ".join(rf"\fB{_text(name)}\fR" for name in [*option.opts, *option.secondary_opts])
        if option.param_type_name == "argument":
            spelt = rf"\fI{_text(option.metavar or option.name)}\fR"
        elif option.metavar:
            spelt += rf" \fI{_text(option.metavar)}\fR"
        lines.append(f".TP\n{spelt}\n{_text(option.help or '')}")
    return "\n".join(lines)


def _text(words: str) -> str:
    """Text of which roff makes nothing else: no request at the beginning of a line, no escape, a dash to copy."""
    flat = re.sub(r"\n(?!\n)", " ", words.strip().replace("\n\n", "\0")).replace("\0", "\n.PP\n")
    safe = flat.replace("\\", r"\e").replace("-", r"\-")
    return "\n".join(
        line if line == ".PP" else re.sub(r"^([.'])", r"\\&\1", line.strip()) for line in safe.split("\n")
    )


if __name__ == "__main__":
    sys.stdout.write(manual())

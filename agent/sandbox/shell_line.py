"""A command as its user wrote it, a line for the shell: which program it begins with, and whether that can be run."""

import io
import os
import re
import shlex
import shutil
import subprocess

from probes.errors import UsageError

# A command whose first word has one of these is not a program to look up: it is left to the shell.
_SHELL_SYNTAX = frozenset("|&;<>()$`*?[#~=%!{")
# What a POSIX shell runs without a program (XCU 2.4, 2.14), as far as a command may begin with it.
_SHELL_WORDS = frozenset(
    {
        *(".", ":", "break", "case", "cd", "command", "eval", "exec", "exit", "export", "for", "if", "read"),
        *("readonly", "set", "shift", "times", "trap", "ulimit", "umask", "unset", "until", "wait", "while"),
        *("alias", "bg", "fc", "fg", "getopts", "hash", "jobs", "type", "unalias"),
    }
)
_COMMENTS = re.compile(r"\A(?:\s*#[^\n]*(?:\n|\Z))*")
_SYNTAX_S = 60.0  # 2 ms; a shell that hangs must not hang this too


def first_word(command: str) -> str:
    """The program of a shell command, without its directory."""
    word, _rest = _begins(command)
    return os.path.basename(word) if word else command  # noqa: PTH119  text, not a path of this host


def _begins(command: str) -> tuple[str | None, str]:
    """The first word of a shell command, without its quotes, and what follows; None: there is none.

    Only this word is split off: a here-document or a comment further on has other rules.
    """
    begun = _COMMENTS.sub("", command)
    text = io.StringIO(begun)
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        word = lexer.get_token()
    except ValueError:  # a quote within a substitution
        word, *_ = begun.split()
    return word, text.read()


def require_runnable(command: str) -> None:
    """Refuse a command whose program is not there, before anything is started.

    Raises:
        UsageError: It is empty, no shell can read it, or it names a program that is not in PATH.
    """
    program, rest = _begins(command)
    if program is None:
        raise UsageError("a command is empty", "give a program to run")
    # The shell that will run it is the one that knows; -n runs nothing of it.
    read = subprocess.run(
        ["/bin/sh", "-n"], input=os.fsencode(command), capture_output=True, check=False, timeout=_SYNTAX_S
    )
    if read.returncode != 0:
        why = os.fsdecode(read.stderr).strip().partition("yntax error: ")[2] or "syntax error"
        raise UsageError(f"the shell cannot read the command {command!r} ({why})", "check its quotes")
    if _SHELL_SYNTAX & set(program) or program in _SHELL_WORDS or shutil.which(program):
        return
    if rest.lstrip().startswith("("):  # a function is defined
        return
    wrong = "is not a program that can be run" if "/" in program else "is not in PATH"
    raise UsageError(
        f"the command {command!r} cannot run: {program} {wrong}", "check its name, or install it"
    )

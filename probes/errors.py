"""The exceptions that end a command, each with the exit code of the contract.

    JostleError             1   failed: says what, where and what to do
    ├── UsageError          2   bad usage, bad input, a bad config or run file
    └── HostError           3   this host cannot do it; carries the remedy

They live in the leftmost package so that every package can raise them; only the command line catches them.
"""


class JostleError(Exception):
    """A failure that is reported in one line on standard error, without a traceback."""

    exit_code = 1

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return self.message if self.remedy is None else f"{self.message}: {self.remedy}"


class UsageError(JostleError):
    """The user asked for something that makes no sense; nothing was started."""

    exit_code = 2


class HostError(JostleError):
    """The host lacks a privilege or a kernel feature."""

    exit_code = 3

"""A service that works on request, and the client that never stops asking.

    python -m agent.selftest.workloads.service [NAME]

Run beside the victim, in its cgroup, it makes a slowdown the victim's own doing although a neighbour sets it off:
all the work is done by the victim's own threads and on its own quota; the client, `neighbour ask`, only waits for
answers.
"""

import contextlib
import socket
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from agent.selftest.workloads.victim import compute

DEFAULT_NAME = "victim"
# So many requests lie in the service's queue that it never rests for want of one.
OUTSTANDING = 4
_RETRY_S = 0.01


def address(name: str) -> str:
    """The address of a service in Linux's abstract namespace, which leaves no file behind."""
    return f"\0jostle-{name}"


def serve(name: str, work: Callable[[], object]) -> NoReturn:
    """Do `work` once for each byte that comes and send it back, one client at a time.

    Raises:
        OSError: The name is taken.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address(name))
    listener.listen()
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(ConnectionError):
            while request := connection.recv(1):
                work()
                connection.sendall(request)


def wait_for(name: str) -> None:
    """Until a service is ready to be asked."""
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            if client.connect_ex(address(name)) == 0:
                return
        time.sleep(_RETRY_S)


def ask(name: str) -> NoReturn:
    """Ask a service for work for as long as it lasts, and again when another one comes."""
    while True:
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client,
            contextlib.suppress(ConnectionError),
        ):
            client.connect(address(name))
            client.sendall(b"?" * OUTSTANDING)
            while answer := client.recv(OUTSTANDING):
                client.sendall(answer)
        time.sleep(_RETRY_S)


if __name__ == "__main__":
    serve(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_NAME, compute)

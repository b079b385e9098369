"""A port that a server is to have which cannot choose one for itself, or that nobody is to answer on."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def held_port() -> Iterator[int]:
    """A TCP port of 127.0.0.1 that the kernel gives nobody else meanwhile, and on which connections are refused.

    A server that sets SO_REUSEADDR, as most do, can listen on it all the same (socket(7)).
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])

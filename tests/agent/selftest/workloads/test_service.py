import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from agent.selftest.workloads.service import address
from tests.agent.selftest.workloads.running import becomes_true, children, command, neighbour


@contextmanager
def service(name: str) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command("service", name)) as process:
        try:
            yield process
        finally:
            process.kill()


def fresh_name() -> str:
    return f"test-{os.getpid()}-{secrets.token_hex(4)}"


def ask_once(name: str) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(address(name))
        except ConnectionRefusedError:
            return b""
        client.sendall(b"x")
        return client.recv(1)


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def test_it_answers_every_request_and_the_next_client() -> None:
    name = fresh_name()
    with service(name):
        assert becomes_true(lambda: ask_once(name) == b"x")
        assert ask_once(name) == b"x"


def test_the_client_keeps_the_service_busy_and_hardly_works_itself() -> None:
    name = fresh_name()
    with neighbour("ask", "--processes", "1", "--service", name) as asking, service(name) as serving:
        worker, (client,) = psutil.Process(serving.pid), children(asking)
        assert becomes_true(lambda: cpu_s(worker) >= 1.0)
        assert cpu_s(client) < cpu_s(worker) / 5


def test_the_client_finds_a_service_that_comes_again() -> None:
    name = fresh_name()
    with neighbour("ask", "--processes", "1", "--service", name):
        for _ in range(2):
            with service(name) as serving:
                worker = psutil.Process(serving.pid)
                idle_s = cpu_s(worker)
                assert becomes_true(lambda worker=worker, idle_s=idle_s: cpu_s(worker) >= idle_s + 0.3)  # type: ignore[misc]

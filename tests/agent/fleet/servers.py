"""Servers that tests start: S3 by moto, and whatever else is a process that listens.

What they need lives in `.cache/fleet`, which `make test-fleet` makes.
"""

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from tests.cli.running import ROOT

ELSEWHERE = ROOT / ".cache/fleet"
PACKAGES = next(iter(ELSEWHERE.glob("lib/python*/site-packages")), ELSEWHERE)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(port: int) -> None:
    end_s = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if time.monotonic() > end_s:
                raise
            time.sleep(0.1)
        else:
            return


@contextmanager
def server(*words: str, log: Path) -> Iterator[None]:
    with log.open("wb") as file, subprocess.Popen(words, stdout=file, stderr=file) as process:
        try:
            yield
        finally:
            process.terminate()


@contextmanager
def bucket_at(scratch: Path) -> Iterator[str]:
    """An empty bucket's URL; the environment leads there meanwhile."""
    port = free_port()
    told = {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "REGION": "us-east-1"}
    told["ENDPOINT_URL"] = f"http://127.0.0.1:{port}"
    moto = (str(ELSEWHERE / "bin/moto_server"), "-H", "127.0.0.1", "-p", str(port))
    with (
        server(*moto, log=scratch / "moto.log"),
        mock.patch.dict(os.environ, {f"AWS_{name}": value for name, value in told.items()}),
    ):
        wait_for(port)
        made = http.client.HTTPConnection("127.0.0.1", port)
        made.request("PUT", "/fleet")
        assert made.getresponse().status == 200
        made.close()
        yield "s3://fleet/jostle"

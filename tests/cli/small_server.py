"""A small service for tests: answers with a little work, counts its answers at /metrics, and logs how long each took.

Arguments: the file for its port, the log.
"""

import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

answered = 0


class Handler(BaseHTTPRequestHandler):
    """One connection after the other."""

    def do_GET(self) -> None:
        """A page, or the count of pages."""
        global answered
        began_s = time.monotonic()
        if self.path == "/metrics":
            text = f'# TYPE pages_total counter\npages_total{{code="200"}} {answered}\n'
        else:
            text, answered = str(sum(range(50_000))), answered + 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())
        with Path(sys.argv[2]).open("a", encoding="ascii") as log:
            log.write(f"GET {self.path} took {1000 * (time.monotonic() - began_s):.3f} ms\n")

    def log_message(self, *_: object) -> None:
        """Nothing on standard error."""


server = HTTPServer(("127.0.0.1", 0), Handler)
Path(sys.argv[1]).write_text(str(server.server_port), encoding="ascii")
server.serve_forever()

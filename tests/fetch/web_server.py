"""A local server in place of a web site, with the failures of a network."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import numpy as np
from PIL import Image

from clip360.fetch.web import connect

AGENT = "clip360 tests"
FAILURES = ("late", "busy", "broken", "cut off", "other", "no json", "maxlag")
STATUS = {"busy": 429, "broken": 500}


class WebServer(ThreadingHTTPServer):
    """Serves ``pages`` by path, and ``failures`` by path: each once or, if its path is in ``permanent``, always.

    A page is bytes, or a function of the query's parameters that returns what is sent as JSON.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.pages: dict[str, bytes | Callable[[dict], dict]] = {}
        self.failures, self.permanent, self.log = {}, set(), []

    def handle_error(self, *_):
        pass  # the client closed the connection

    def fetched(self, path: str) -> list[float]:
        """When a path was asked for."""
        return [when for when, requested, _, agent in self.log if requested == path and agent == AGENT]


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, (path, query) = self.server, (urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query)))
        server.log.append((time.monotonic(), path, query, self.headers["User-Agent"]))
        failures = server.failures
        failure = failures.get(path) if path in server.permanent else failures.pop(path, None)
        page = server.pages.get(path)
        body = json.dumps(page(query)).encode() if callable(page) else page
        sent = body or b""
        if failure == "late":
            time.sleep(0.4)
        elif failure in STATUS:
            sent = b""
        elif failure == "cut off":
            sent = sent[:300]
        elif failure == "other":
            sent = sent[::-1]
        elif failure == "no json":
            body = sent = b"<html>"
        elif failure == "maxlag":  # with status 200, as the API answers
            body = sent = json.dumps(
                {"error": {"code": "maxlag", "info": "Waiting for db1: 7 seconds lagged"}}
            ).encode()
        self.send_response(STATUS.get(failure, 404 if body is None else 200))
        if failure in ("busy", "maxlag"):
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", str(0 if failure in STATUS else len(body or b"")))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, *_):
        pass


@contextmanager
def serving() -> Iterator[WebServer]:
    """A server that runs in the background."""
    server = WebServer()
    threading.Thread(target=partial(server.serve_forever, 0.02), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def impatient_connect(agent: str = AGENT) -> Callable:
    """A client that neither waits nor keeps to a rate."""
    return connect(agent, rate=10_000, timeout=0.2, backoff=0.001)


def pixels(width: int, height: int, phase: float = 0.0) -> np.ndarray:
    """Smooth colours, uint8 [H, W, 3], which survive JPEG."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(6.28 * x / width + phase), np.cos(6.28 * x / width), np.cos(3.14 * y / height)]
    return np.stack([127 + 100 * wave for wave in waves], 2).astype(np.uint8)


def jpeg(width: int, height: int, phase: float = 0.0, **options) -> bytes:
    """A JPEG of ``pixels``."""
    file = io.BytesIO()
    Image.fromarray(pixels(width, height, phase)).save(file, "JPEG", quality=95, **options)
    return file.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    """All files in a folder, by their paths."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}

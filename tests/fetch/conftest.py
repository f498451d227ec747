"""A web site of each kind on a local server."""

import hashlib
from collections.abc import Iterator

import pytest

from tests.fetch.web_server import WebServer, jpeg, serving

ASSETS = {
    "zoo": {
        "name": "Zoo 360 HDRI",
        "categories": [],
        "tags": [],
        "authors": {"A": "Photography", "B, C": "Processing"},
    },
    "old_abbey_01": {
        "name": "Old Abbey 01",
        "categories": ["nature", "midday", "outdoor", "low contrast"],
        "tags": ["abbey", "backplates", "NA", "dry grass", "NA", "wall"],
        "authors": {"A": "All"},
    },
    "square": {"name": "Square", "categories": ["indoor"], "tags": ["tile"], "authors": {"A": "All"}},
    "bare": {"name": "Bare", "categories": ["indoor"], "tags": ["tile"], "authors": {"A": "All"}},
    "null": {"name": "Null", "authors": {}},
}


@pytest.fixture
def poly_haven() -> Iterator[WebServer]:
    """Five assets of Poly Haven: of these `square` is not 2:1, and `bare` has no tone-mapped image."""
    with serving() as server:
        offer(server, ASSETS)
        yield server


def offer(server: WebServer, assets: dict[str, dict]) -> None:
    """Let a server offer assets as Poly Haven does."""
    server.pages["/assets"] = lambda query: assets if query == {"type": "hdris"} else {}
    for k, asset in enumerate(assets):
        body = jpeg(256, 256) if asset == "square" else jpeg(512, 256, phase=k)
        file = {"url": f"{server.address}/{asset}.jpg", "size": len(body), "md5": hashlib.md5(body).hexdigest()}
        files = {"hdri": {}} if asset == "bare" else {"hdri": {}, "tonemapped": file}
        server.pages |= {f"/{asset}.jpg": body, f"/files/{asset}": lambda _, files=files: files}

"""The import from Poly Haven against a local server in place of its API, with all the failures of a network."""

import hashlib
import io
import json
import threading
import time
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image, JpegImagePlugin

from clip360.data.image_set import load_image_set
from clip360.data.poly_haven import caption, connect
from pipeline import import_polyhaven
from pipeline.error_messages import report
from pipeline.import_polyhaven import import_panoramas, main

HEIGHT = 16
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
CAPTIONS = {
    "null.jpg": "a null",
    "old_abbey_01.jpg": "an old abbey outdoors at midday: na, dry grass, wall",
    "zoo.jpg": "a zoo",
}
FAILURES = {
    "late": "/files/null",
    "busy": "/assets?type=hdris",
    "broken": "/files/zoo",
    "cut off": "/zoo.jpg",
    "other": "/null.jpg",
    "no json": "/files/old_abbey_01",
}


def image(width: int, height: int) -> np.ndarray:
    """Smooth colours, uint8 [H, W, 3], which survive JPEG."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(6.28 * x / width), np.cos(6.28 * x / width), np.cos(3.14 * y / height)]
    return np.stack([127 + 100 * wave for wave in waves], 2).astype(np.uint8)


def jpeg(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image(width, height)).save(file, "JPEG", quality=95)
    return file.getvalue()


class Server(ThreadingHTTPServer):
    """Serves ``pages`` by path, and ``failures`` by path: each once or, if its path is in ``permanent``, always."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.api = f"http://127.0.0.1:{self.server_port}"
        self.failures, self.permanent, self.log = {}, set(), []
        self.pages = {"/assets?type=hdris": json.dumps(ASSETS).encode()}
        for asset in ASSETS:
            body = jpeg(256, 256) if asset == "square" else jpeg(512, 256)
            file = {"url": f"{self.api}/{asset}.jpg", "size": len(body), "md5": hashlib.md5(body).hexdigest()}
            files = {"hdri": {}} if asset == "bare" else {"hdri": {}, "tonemapped": file}
            self.pages |= {f"/{asset}.jpg": body, f"/files/{asset}": json.dumps(files).encode()}

    def handle_error(self, *_):
        pass  # the client closed the connection

    def fetched(self, path: str) -> list[float]:
        return [when for when, requested, agent in self.log if requested == path and agent == "clip360"]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, body = self.server, self.server.pages.get(self.path)
        server.log.append((time.monotonic(), self.path, self.headers["User-Agent"]))
        failure = (
            server.failures.get(self.path) if self.path in server.permanent else server.failures.pop(self.path, None)
        )
        if failure == "late":
            time.sleep(0.4)
        self.send_response({"busy": 429, "broken": 500}.get(failure, 200 if body else 404))
        if failure == "busy":
            self.send_header("Retry-After", "1")
        sent = {"cut off": lambda: body[:300], "other": lambda: body[::-1], "no json": lambda: b"<html>"}
        length = len(body or b"") if failure != "no json" else 6
        self.send_header("Content-Length", str(0 if failure in ("busy", "broken") else length))
        self.end_headers()
        if body and failure not in ("busy", "broken"):
            self.wfile.write(sent.get(failure, lambda: body)())

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = Server()
    threading.Thread(target=partial(server.serve_forever, 0.02), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def run(folder: Path, server: Server, count: int | None = None, height: int = HEIGHT) -> list[str]:
    get = connect(rate=10_000, timeout=0.2, backoff=0.001)
    return import_panoramas(folder, count, height=height, api=server.api, get=get)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_captions_contain_the_name_the_light_and_a_few_tags():
    tags = ["sun", "Sun", "spherical", "16k", "bridge", "a", "b", "c", "d"]
    assert caption("Iron_Bridge (Pure Sky) 4k", ["overcast", "indoor"], tags) == (
        "an iron bridge pure sky indoors in overcast weather: sun, a, b, c, d"
    )
    assert caption("Photo Studio", [], []) == "a photo studio"


def test_the_import_is_an_image_set(tmp_path, server, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # as if these were the largest images
        left_out = run(tmp_path / "set", server)
    image_set = load_image_set(tmp_path / "set")
    assert list(zip(image_set.table.image, image_set.table.caption, strict=True)) == sorted(CAPTIONS.items())
    assert set(image_set.table.cue) == {"360 photo"}
    assert next(image_set.batches(3)).shape == (3, 3, HEIGHT, 2 * HEIGHT)
    with Image.open(tmp_path / "set/images/zoo.jpg") as stored:
        assert JpegImagePlugin.get_sampling(stored) == 0  # 4:4:4
        plain = Image.fromarray(image(512, 256)).resize((2 * HEIGHT, HEIGHT), Image.Resampling.LANCZOS)
        assert np.abs(np.asarray(stored, int) - np.asarray(plain, int)).max() <= 8
    assert len(left_out) == 2
    assert "bare has no tone-mapped image" in left_out[0] and "square is not as expected: 256 x 256" in left_out[1]
    table = pd.read_csv(tmp_path / "set/attribution.csv", keep_default_na=False)
    body = server.pages["/zoo.jpg"]
    assert table.iloc[-1].to_dict() == {
        "image": "zoo.jpg",
        "id": "zoo",
        "name": "Zoo 360 HDRI",
        "authors": "A, B, C",
        "licence": "CC0 1.0",
        "url": f"{server.api}/zoo.jpg",
        "md5": hashlib.md5(body).hexdigest(),
    }


def test_temporary_failures_change_nothing(tmp_path, server):
    run(tmp_path / "plain", server)
    server.log.clear()
    server.failures = {path: failure for failure, path in FAILURES.items()}
    run(tmp_path / "failures", server)
    assert not server.failures
    assert contents(tmp_path / "failures") == contents(tmp_path / "plain")
    assert all(len(server.fetched(path)) == 2 for path in FAILURES.values())
    first, second = server.fetched(FAILURES["busy"])
    assert second - first >= 1  # Retry-After


@pytest.mark.parametrize("failure", [failure for failure in FAILURES if failure not in ("busy", "late")])
def test_a_permanent_failure_is_reported_in_one_sentence(tmp_path, server, failure):
    path = FAILURES[failure]
    server.failures, server.permanent = {path: failure}, {path}
    with pytest.raises(RuntimeError) as caught:
        run(tmp_path / "set", server)
    sentence = str(caught.value)
    assert f"{server.api}{path} c" in sentence and "import again later" in sentence and "\n" not in sentence
    assert len(server.fetched(path)) == (6 if failure == "broken" else 3)
    if body := {"cut off": server.pages[path][:300], "other": server.pages[path][::-1]}.get(failure):
        assert f"image of {Path(path).stem}: expected {len(server.pages[path])} bytes" in sentence
        assert f"found {len(body)} bytes with MD5 {hashlib.md5(body).hexdigest()}" in sentence
    captioned = pd.read_csv(tmp_path / "set/captions.csv").image
    assert {file.name for file in (tmp_path / "set/images").iterdir()} == set(captioned) < set(CAPTIONS)


LISTINGS = ["[]", "{", '{"../up": {"name": "Up"}}', '{"up": {}}', '{"up": []}', '{"up": "up"}', '{"": {"name": "Up"}}']
LISTINGS += ['{"up": {"name": "Up", "tags": 5}}', '{"up": {"name": "Up", "authors": [null]}}']


@pytest.mark.parametrize("body", LISTINGS)
def test_a_listing_of_another_form_is_refused(tmp_path, server, body):
    server.pages["/assets?type=hdris"] = body.encode()
    with pytest.raises(RuntimeError, match="came damaged 3 times"):
        run(tmp_path / "set", server)
    assert not (tmp_path / "set").exists()


def test_a_missing_server_is_reported_in_one_sentence(tmp_path):
    get = connect(rate=10_000, timeout=0.2, backoff=0.001)
    with pytest.raises(RuntimeError, match=r"assets\?type=hdris cannot be fetched .*: import again later"):
        import_panoramas(tmp_path / "set", api="http://127.0.0.1:9", get=get)


def test_an_interrupted_import_continues(tmp_path, server, monkeypatch):
    run(tmp_path / "whole", server)
    replace = import_polyhaven.os.replace
    for after in (False, True):
        for stop in range(11):  # the moments at which a file takes its place
            moments = iter(range(100))

            def stopping(old, new, stop=stop, after=after, moments=moments):
                moment = next(moments)
                assert new.suffix == ".csv" or not new.exists()  # an image is complete or absent
                if moment < stop or after:
                    replace(old, new)
                if moment == stop:
                    raise KeyboardInterrupt

            folder = tmp_path / f"{stop} {after}"
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(import_polyhaven.os, "replace", stopping)
                run(folder, server)
            recorded = folder / "attribution.csv"
            complete = list(pd.read_csv(recorded, keep_default_na=False).image) if recorded.exists() else []
            if (folder / "captions.csv").exists():
                captioned = list(pd.read_csv(folder / "captions.csv", keep_default_na=False).image)
                assert {file.name for file in (folder / "images").iterdir()} >= set(captioned)
            server.log.clear()
            run(folder, server)
            assert contents(folder) == contents(tmp_path / "whole")
            fetched = {path[1:] for _, path, _ in server.log if path.endswith(".jpg")}
            assert fetched == {"square.jpg", *CAPTIONS} - set(complete)


def test_count_takes_the_first_and_may_grow(tmp_path, server):
    assert len(run(tmp_path / "set", server, count=2)) == 1
    assert list(load_image_set(tmp_path / "set").table.image) == ["null.jpg"]
    run(tmp_path / "set", server)
    assert list(load_image_set(tmp_path / "set").table.image) == sorted(CAPTIONS)
    with pytest.raises(ValueError, match="holds old_abbey_01.jpg, which is not among the 2 panoramas"):
        run(tmp_path / "set", server, count=2)
    run(tmp_path / "set", server, height=8)
    assert next(load_image_set(tmp_path / "set").batches(3)).shape == (3, 3, 8, 16)


def test_requests_keep_to_the_rate_repeated_ones_too(server, monkeypatch):
    pauses = []
    clock = SimpleNamespace(monotonic=lambda: 100 + sum(pauses), sleep=pauses.append)
    monkeypatch.setattr("clip360.data.poly_haven.time", clock)
    server.failures = {"/zoo.jpg": "broken"}
    get = connect(rate=0.5, backoff=0)
    for _ in range(4):
        get(f"{server.api}/zoo.jpg", len)
    assert len(server.fetched("/zoo.jpg")) == 5
    assert [pause for pause in pauses if pause] == pytest.approx([2, 2, 2, 2])  # none before the first


def test_the_command_reports_and_ends_with_one_sentence(tmp_path, server, capsys, monkeypatch):
    monkeypatch.setattr(import_polyhaven, "connect", lambda: connect(rate=10_000, timeout=0.2, backoff=0.001))
    monkeypatch.setitem(import_panoramas.__kwdefaults__, "height", HEIGHT)
    command = partial(main, api=server.api)
    report(command, str(tmp_path / "set"), "--count", "2")
    printed = capsys.readouterr()
    assert "bare has no tone-mapped image" in printed.err
    assert printed.out == f"panoramas left out of {tmp_path / 'set'}: 1; powered by Poly Haven\n"
    with pytest.raises(SystemExit, match="holds null.jpg, which is not among the 1 panoramas"):
        report(command, str(tmp_path / "set"), "--count", "1")
    with pytest.raises(SystemExit):
        report(command, str(tmp_path / "set"), "--count", "0")
    assert "argument --count" in capsys.readouterr().err

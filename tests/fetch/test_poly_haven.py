"""Fetching from Poly Haven against a local server in place of its API, with all the failures of a network."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image, JpegImagePlugin

from clip360.data.image_set import load_image_set
from clip360.fetch import attribution, fetched_set
from clip360.fetch.attribution import COLUMNS
from clip360.fetch.image_sets import FORMAT_CUES, fetch_image_sets
from clip360.fetch.poly_haven import PolyHaven, caption
from clip360.fetch.web import connect
from tests.fetch.conftest import ASSETS
from tests.fetch.web_server import AGENT, WebServer, contents, impatient_connect, pixels

HEIGHT = 16
CAPTIONS = {
    "null.jpg": "a null",
    "old_abbey_01.jpg": "an old abbey outdoors at midday: na, dry grass, wall",
    "zoo.jpg": "a zoo",
}
FAILURES = {
    "late": "/null.jpg",
    "busy": "/files/null",
    "broken": "/files/old_abbey_01",
    "cut off": "/old_abbey_01.jpg",
    "other": "/zoo.jpg",
    "no json": "/assets",
}


def run(folder: Path, server: WebServer, count: int = 3, height: int = HEIGHT) -> list[str]:
    """Fetch the set `set`; the sentences on what was left out."""
    get = impatient_connect()
    source = PolyHaven(get, server.address)
    return fetch_image_sets(get, source, folder, {"set": count}, seed=0, height=height).left_out


def test_captions_contain_the_name_the_light_and_a_few_tags():
    tags = ["sun", "Sun", "spherical", "16k", "bridge", "a", "b", "c", "d"]
    assert caption("Iron_Bridge (Pure Sky) 4k", ["overcast", "indoor"], tags) == (
        "an iron bridge pure sky indoors in overcast weather: sun, a, b, c, d"
    )
    assert caption("Photo Studio", [], []) == "a photo studio"


def test_what_is_fetched_is_an_image_set(tmp_path, poly_haven, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # as if these were the largest images
        left_out = run(tmp_path, poly_haven, count=4)
    image_set = load_image_set(tmp_path / "set")
    assert list(zip(image_set.table.image, image_set.table.caption, strict=True)) == sorted(CAPTIONS.items())
    assert set(image_set.table.cue) <= set(FORMAT_CUES)
    assert next(image_set.batches(3)).shape == (3, 3, HEIGHT, 2 * HEIGHT)
    with Image.open(tmp_path / "set/images/zoo.jpg") as stored:
        assert JpegImagePlugin.get_sampling(stored) == 0  # 4:4:4
        plain = Image.fromarray(pixels(512, 256)).resize((2 * HEIGHT, HEIGHT), Image.Resampling.LANCZOS)
        assert np.abs(np.asarray(stored, int) - np.asarray(plain, int)).max() <= 8
    bare, square = sorted(left_out)
    assert "bare has no tone-mapped image" in bare and "square.jpg is not as expected: 256 x 256" in square
    table = pd.read_csv(tmp_path / "set/attribution.csv", keep_default_na=False)
    assert list(table) == COLUMNS
    assert table.iloc[-1].to_dict() == {
        "image": "zoo.jpg",
        "source": "Poly Haven",
        "id": "zoo",
        "title": "Zoo 360 HDRI",
        "author": "A, B, C",
        "licence": "CC0 1.0",
        "licence_url": "https://creativecommons.org/publicdomain/zero/1.0/",
        "page": "https://polyhaven.com/a/zoo",
        "url": f"{poly_haven.address}/zoo.jpg",
        "checksum": f"md5:{hashlib.md5(poly_haven.pages['/zoo.jpg']).hexdigest()}",
        "fetched_caption": "a zoo",
        "fetched_cue": image_set.table.cue.iloc[-1],
    }


def test_temporary_failures_change_nothing(tmp_path, poly_haven):
    run(tmp_path / "plain", poly_haven)
    poly_haven.log.clear()
    poly_haven.failures = {path: failure for failure, path in FAILURES.items()}
    run(tmp_path / "failures", poly_haven)
    assert not poly_haven.failures
    assert contents(tmp_path / "failures") == contents(tmp_path / "plain")
    assert all(len(poly_haven.fetched(path)) == 2 for path in FAILURES.values())
    first, second = poly_haven.fetched(FAILURES["busy"])
    assert second - first >= 1  # Retry-After


@pytest.mark.parametrize("failure", [failure for failure in FAILURES if failure not in ("busy", "late")])
def test_a_permanent_failure_is_reported_in_one_sentence(tmp_path, poly_haven, failure):
    path = FAILURES[failure]
    poly_haven.failures, poly_haven.permanent = {path: failure}, {path}
    with pytest.raises(RuntimeError) as caught:
        run(tmp_path, poly_haven)
    sentence = str(caught.value)
    query = "?type=hdris" if path == "/assets" else ""
    assert f"{poly_haven.address}{path}{query} c" in sentence and "fetch again later" in sentence
    assert "\n" not in sentence
    assert len(poly_haven.fetched(path)) == (6 if failure == "broken" else 3)
    page = poly_haven.pages[path]
    if body := {"cut off": lambda: page[:300], "other": lambda: page[::-1]}.get(failure, bytes)():
        assert f"{path[1:]}: expected {len(page)} bytes" in sentence
        assert f"found {len(body)} bytes with MD5 {hashlib.md5(body).hexdigest()}" in sentence
    images = tmp_path / "set/images"
    stored = {file.name for file in images.iterdir()} if images.exists() else set()
    captioned = set(pd.read_csv(tmp_path / "set/captions.csv").image) if stored else set()
    assert stored == captioned < set(CAPTIONS)


LISTINGS = [{"../up": {"name": "Up"}}, {"up": {}}, {"up": []}, {"up": "up"}, {"": {"name": "Up"}}, [], "up"]
LISTINGS += [{"up": {"name": "Up", "tags": 5}}, {"up": {"name": "Up", "authors": [None]}}]


@pytest.mark.parametrize("listing", LISTINGS)
def test_a_listing_of_another_form_is_refused(tmp_path, poly_haven, listing):
    poly_haven.pages["/assets"] = lambda _: listing
    with pytest.raises(RuntimeError, match="came damaged 3 times"):
        run(tmp_path, poly_haven)
    assert not (tmp_path / "set").exists()


def test_a_missing_server_is_reported_in_one_sentence(tmp_path):
    with pytest.raises(RuntimeError, match=r"assets\?type=hdris cannot be fetched .*: fetch again later"):
        run(tmp_path, SimpleNamespace(address="http://127.0.0.1:9"))


def test_a_stopped_fetch_continues(tmp_path, poly_haven, monkeypatch):
    """It is stopped at every moment at which a file takes its place, before and after."""
    run(tmp_path / "whole", poly_haven)
    place = attribution.os.replace
    for after in (False, True):
        for stop in range(9):
            moments = iter(range(100))

            def stopping(old, new, stop=stop, after=after, moments=moments):
                moment = next(moments)
                assert new.suffix == ".csv" or not new.exists()  # an image is complete or absent
                if moment < stop or after:
                    place(old, new)
                if moment == stop:
                    raise KeyboardInterrupt

            folder = tmp_path / f"{stop} {after}"
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(attribution.os, "replace", stopping)
                run(folder, poly_haven)
            stopped = fetched_set.FetchedSet(folder / "set")
            assert set(stopped.captions()) <= set(stopped.rows)
            complete = set(stopped.kept()) - set(stopped.incomplete(HEIGHT))
            poly_haven.log.clear()
            run(folder, poly_haven)
            assert contents(folder) == contents(tmp_path / "whole")
            fetched = {path[1:] for _, path, _, _ in poly_haven.log if path.endswith(".jpg")}
            assert fetched - {"square.jpg"} == set(CAPTIONS) - complete


def test_a_larger_number_adds_and_a_smaller_one_is_refused(tmp_path, poly_haven):
    run(tmp_path, poly_haven, count=1)
    assert len(load_image_set(tmp_path / "set").table) == 1
    run(tmp_path, poly_haven)
    assert list(load_image_set(tmp_path / "set").table.image) == sorted(CAPTIONS)
    with pytest.raises(ValueError, match="set holds 3 panoramas, more than the 2 of --sets"):
        run(tmp_path, poly_haven, count=2)
    run(tmp_path, poly_haven, height=8)
    assert next(load_image_set(tmp_path / "set").batches(3)).shape == (3, 3, 8, 16)


def test_requests_keep_to_the_rate_repeated_ones_too(poly_haven, monkeypatch):
    pauses = []
    clock = SimpleNamespace(monotonic=lambda: 100 + sum(pauses), sleep=pauses.append)
    monkeypatch.setattr("clip360.fetch.web.time", clock)
    poly_haven.failures = {"/zoo.jpg": "broken"}
    get = connect(AGENT, rate=0.5, backoff=0)
    for _ in range(4):
        get(f"{poly_haven.address}/zoo.jpg", len)
    assert len(poly_haven.fetched("/zoo.jpg")) == 5
    assert [pause for pause in pauses if pause] == pytest.approx([2, 2, 2, 2])  # none before the first


def test_an_asset_that_is_gone_is_left_out(tmp_path, poly_haven):
    del poly_haven.pages["/files/zoo"], poly_haven.pages["/null.jpg"]
    left_out = run(tmp_path, poly_haven, count=len(ASSETS))
    assert sum("is not there (status 404)" in sentence for sentence in left_out) == 2
    assert list(load_image_set(tmp_path / "set").table.image) == ["old_abbey_01.jpg"]
    (tmp_path / "set/images/old_abbey_01.jpg").unlink()
    del poly_haven.pages["/old_abbey_01.jpg"]
    get = impatient_connect()
    fetched = fetch_image_sets(get, PolyHaven(get, poly_haven.address), tmp_path, {"set": 1}, seed=0, height=HEIGHT)
    assert fetched.lost == {"set": ["old_abbey_01.jpg"]} and len(fetched.left_out) == 1

"""Image sets that are fetched: disjoint, drawn by a seed, and edited by people, whose edits stay."""

from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from clip360.cli import build_parser
from clip360.data.image_set import load_image_set
from clip360.fetch.attribution import COLUMNS
from clip360.fetch.image_sets import FORMAT_CUES, fetch_image_sets
from clip360.fetch.poly_haven import PolyHaven
from clip360.fetch.web import user_agent
from tests.command_line import error_of, run
from tests.fetch.conftest import offer
from tests.fetch.web_server import impatient_connect, serving

HEIGHT = 8
SIZES = {"real": 6, "train": 5, "held_out": 3}
ASSETS = {f"asset-{k}": {"name": f"Place {'abcdefghijklmnopqrst'[k]}", "tags": ["x"]} for k in range(20)}


@pytest.fixture(scope="module")
def site():
    with serving() as server:
        offer(server, ASSETS)
        yield server


@pytest.fixture
def fetch(site, tmp_path):
    """Fetches image sets into ``tmp_path``/sets."""
    get = impatient_connect()
    folder = tmp_path / "sets"
    return partial(fetch_image_sets, get, PolyHaven(get, site.address), folder, SIZES, height=HEIGHT)


def images(folder: Path) -> dict[str, set[str]]:
    return {path.parent.name: set(pd.read_csv(path).image) for path in folder.glob("*/captions.csv")}


def test_sets_are_disjoint_and_drawn_by_the_seed(fetch, tmp_path):
    fetched = fetch(seed=1)
    drawn = images(tmp_path / "sets")
    assert fetched.sizes == fetched.new == SIZES and {name: len(found) for name, found in drawn.items()} == SIZES
    assert len(set().union(*drawn.values())) == sum(SIZES.values())
    for name in SIZES:
        load_image_set(tmp_path / "sets" / name)
    cues = pd.concat([pd.read_csv(tmp_path / "sets" / name / "captions.csv").cue for name in SIZES])
    assert len(set(cues)) > 1 and set(cues) <= set(FORMAT_CUES)
    get, elsewhere = impatient_connect(), tmp_path / "other"
    for seed, same in ((1, True), (2, False)):
        fetch_image_sets(get, fetch.args[1], elsewhere / str(seed), SIZES, seed=seed, height=HEIGHT)
        assert (images(elsewhere / str(seed)) == drawn) is same
    fetch_image_sets(get, fetch.args[1], tmp_path / "sets", {"more": 4}, seed=1, height=HEIGHT)
    assert len(set().union(*images(tmp_path / "sets").values())) == sum(SIZES.values()) + 4


def test_panoramas_that_are_added_to_the_site_move_none(fetch, site, tmp_path):
    fetch(seed=1)
    before = images(tmp_path / "sets")
    more = {f"new-{k}": {"name": "New"} for k in range(20)}
    with serving() as grown:
        offer(grown, ASSETS | more)
        get = impatient_connect()
        source = PolyHaven(get, grown.address)
        larger = {name: size + 2 for name, size in SIZES.items()}
        fetch_image_sets(get, source, tmp_path / "sets", larger, seed=1, height=HEIGHT)
    after = images(tmp_path / "sets")
    assert all(before[name] < after[name] for name in SIZES)
    assert len(set().union(*after.values())) == sum(larger.values())


def test_edits_survive_and_are_reported(fetch, site, tmp_path):
    fetch(seed=1)
    path = tmp_path / "sets/real/captions.csv"
    table = pd.read_csv(path)
    table.loc[0, "caption"] = "a quiet place, with a tree"
    table.loc[2, "cue"] = "sphere"
    removed = table.image[4]
    table.drop(4).iloc[::-1].to_csv(path, index=False, encoding="utf-8-sig")  # as Excel does
    (path.parent / "images" / removed).unlink()
    site.log.clear()
    fetched = fetch(seed=1)
    again = pd.read_csv(path)
    assert fetched.edited == {"real": table.image[[0, 2]].tolist(), "train": [], "held_out": []}
    assert fetched.removed["real"] == [removed] and removed not in set(again.image) and fetched.new["real"] == 1
    assert len(again) == SIZES["real"] and list(again.image) == sorted(again.image)
    kept = again.set_index("image").loc[table.image.drop(4)]
    assert kept.caption.tolist() == table.caption.drop(4).tolist() and kept.cue.tolist() == table.cue.drop(4).tolist()
    assert sum(requested.endswith(".jpg") for _, requested, _, _ in site.log) == 1
    content = path.read_bytes()
    site.log.clear()
    assert fetch(seed=1).edited == fetched.edited
    assert path.read_bytes() == content and not site.log  # nothing is missing, so nothing is asked for


def test_an_edit_made_while_it_runs_survives(fetch, site, tmp_path, monkeypatch):
    from clip360.fetch import image_sets

    fetch_image, path = image_sets.fetch_image, tmp_path / "sets/real/captions.csv"

    def editing(*arguments):
        if path.exists():
            path.write_text(path.read_text().replace("a place", "my place"))
        return fetch_image(*arguments)

    monkeypatch.setattr(image_sets, "fetch_image", editing)
    assert len(fetch(seed=1).edited["real"]) == SIZES["real"]
    assert pd.read_csv(path).caption.str.startswith("my place").all()


def test_a_table_without_cues_stays_one(fetch, tmp_path):
    fetch(seed=1)
    path = tmp_path / "sets/real/captions.csv"
    table = pd.read_csv(path)
    table.drop(columns="cue").drop(0).to_csv(path, index=False)
    (path.parent / "images" / table.image[0]).unlink()
    fetch(seed=1)
    assert list(pd.read_csv(path)) == ["image", "caption"] and len(pd.read_csv(path)) == SIZES["real"]


def test_tables_that_do_not_fit_are_refused(fetch, tmp_path):
    fetch(seed=1)
    captions, attribution = (tmp_path / "sets/real" / name for name in ("captions.csv", "attribution.csv"))
    for path, text, message in (
        (captions, "image,caption\nmine.jpg,mine\n", "names mine.jpg, which attribution.csv does not record"),
        (captions, "image,caption,note\na.jpg,b,c\n", "has the columns image, caption, note"),
        (attribution, "image,licence\n", "attribution.csv has the columns image, licence: expected image, source"),
        (attribution, ",".join(COLUMNS) + '\n../up.jpg,"', "attribution.csv is no UTF-8 table"),
        (attribution, ",".join(COLUMNS) + "\n../up.jpg" + "," * (len(COLUMNS) - 1), "names the image '../up.jpg'"),
    ):
        before = path.read_bytes()
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            fetch(seed=1)
        path.write_bytes(before)


def test_the_command_reports_what_it_did(site, tmp_path, capsys, monkeypatch):
    agents = []
    monkeypatch.setattr("clip360.fetch.web.connect", lambda agent: agents.append(agent) or impatient_connect())
    options = ("--api", site.address, "--height", HEIGHT, "--contact", "me@example.org")
    assert run("fetch-panoramas", "poly-haven", tmp_path / "p", "--sets", "a=3", "b=2", *options) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines() == [
        f"{tmp_path / 'p/a'}: 3 panoramas, 3 new",
        f"{tmp_path / 'p/b'}: 2 panoramas, 2 new",
        "left out: 0; powered by Poly Haven",
    ]
    table = pd.read_csv(tmp_path / "p/a/captions.csv")
    table.assign(caption="mine").to_csv(tmp_path / "p/a/captions.csv", index=False)
    assert run("fetch-panoramas", "poly-haven", tmp_path / "p", "--sets", "a=30", *options) == 1
    printed = capsys.readouterr()
    assert f"rows of captions.csv that you edited, kept: {', '.join(table.image)}" in printed.out
    assert "p/a: Poly Haven has no more, expected 30: lower --sets" in printed.err
    assert set(agents) == {user_agent("me@example.org")} and "(me@example.org)" in agents[0]
    with pytest.raises(SystemExit):
        build_parser().parse_args(["fetch-panoramas", "flickr", "folder"])
    capsys.readouterr()
    for arguments, message in (
        (("commons", tmp_path), "--contact is missing: Wikimedia asks for"),
        (("poly-haven", tmp_path, "--category", "x"), "--category: Poly Haven has none"),
        (("poly-haven", tmp_path, "--sets", "a"), "'a': expected NAME=N"),
        (("poly-haven", tmp_path, "--sets", "../a=1"), "'../a' is no name of an image set"),
        (("poly-haven", tmp_path, "--sets", "a=1", "a=2"), "a occurs twice"),
        (("poly-haven", tmp_path, "--height", 0), "--height is 0"),
        (("commons", tmp_path, "--contact", "a\nb: c"), "--contact is"),
        (("poly-haven", tmp_path / "p", "--sets", "a=2"), "p/a holds 18 panoramas, more than the 2 of --sets"),
    ):
        assert message in error_of(capsys, "fetch-panoramas", *arguments)

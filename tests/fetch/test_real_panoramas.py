"""Real panoramas from the web to their scores: fetched from a local server, captioned by a person, checked, scored.

They are no part of the repository. The test takes an image set from the folder that PANORAMAS names, or from ../shared/panoramas.
"""

import hashlib
import io
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clip360.geometry.seam import VISIBLE_SEAM
from tests.command_line import run
from tests.fetch.web_server import impatient_connect, serving
from tests.small_clips import small_clip

FOLDER = Path(os.environ.get("PANORAMAS", "../shared/panoramas"))
HEIGHT = 256  # of the panoramas as they are fetched
SETS = ("360_real", "360_train", "360_held_out")

pytestmark = pytest.mark.skipif(
    not (FOLDER / "captions.csv").is_file(),
    reason=f"no real panoramas: {FOLDER} holds no captions.csv, and PANORAMAS names no other image set",
)


@pytest.fixture(scope="module")
def originals() -> pd.DataFrame:
    """The captions that people wrote, by image; the images are JPEG."""
    table = pd.read_csv(FOLDER / "captions.csv").set_index("image")
    return table[table.index.str.fullmatch(r"[\w-]+\.jpg")]


@pytest.fixture(scope="module")
def site(originals):
    """A server that offers the panoramas as Poly Haven does."""
    with serving() as server:
        assets = {name.removesuffix(".jpg"): {"name": name.removesuffix(".jpg")} for name in originals.index}
        server.pages["/assets"] = json.dumps(assets).encode()
        for asset in assets:
            body = (FOLDER / "images" / f"{asset}.jpg").read_bytes()
            file = {"url": f"{server.address}/{asset}", "size": len(body), "md5": hashlib.md5(body).hexdigest()}
            server.pages |= {f"/{asset}": body, f"/files/{asset}": json.dumps({"tonemapped": file}).encode()}
        yield server


def test_real_panoramas_from_the_web_to_scores(site, originals, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("clip360.fetch.web.connect", lambda agent: impatient_connect())
    sizes = dict(zip(SETS, np.diff([0, len(originals) // 2, len(originals) * 3 // 4, len(originals)]), strict=True))
    fetch = ["fetch-panoramas", "poly-haven", tmp_path, "--api", site.address, "--height", HEIGHT]
    fetch += ["--sets", *(f"{name}={size}" for name, size in sizes.items())]
    assert run(*fetch) == 0
    tables = {name: pd.read_csv(tmp_path / name / "captions.csv") for name in SETS}
    assert sorted(pd.concat(tables).image) == sorted(originals.index)  # each in one set
    for name, table in tables.items():
        table.assign(caption=originals.caption[table.image].to_numpy()).to_csv(
            tmp_path / name / "captions.csv", index=False
        )
    capsys.readouterr()
    assert run(*fetch) == 0
    assert capsys.readouterr().out.count("rows of captions.csv that you edited, kept") == 3

    assert run("check", *(tmp_path / name for name in SETS)) == 0
    assert capsys.readouterr().out.count("errors 0, warnings 0") == 3
    small_clip(tmp_path / "model", seed=2)
    report = tmp_path / "report"
    command = ["score", tmp_path / SETS[0], "--model", tmp_path / "model", "--protocols", "half-crop,robust-8", "--out"]
    assert run(*command, report) == 0
    scores = pd.read_csv(report / "scores.csv").set_index("image")
    assert scores.caption.tolist() == originals.caption[scores.index].tolist()
    assert scores.seam.max() < VISIBLE_SEAM and scores["half-crop"].nunique() > 1

    # The same panoramas, cut open elsewhere by whole steps of the turn.
    turned = tmp_path / "turned"
    (turned / "images").mkdir(parents=True)
    for name in scores.index:
        pixels = np.asarray(Image.open(tmp_path / SETS[0] / "images" / name))
        file = io.BytesIO()
        Image.fromarray(np.roll(pixels, HEIGHT // 2, axis=1)).save(file, "PNG")
        (turned / "images" / Path(name).with_suffix(".png")).write_bytes(file.getvalue())
    tables[SETS[0]].assign(
        image=tables[SETS[0]].image.str.replace(".jpg", ".png"), caption=originals.caption[scores.index].to_numpy()
    ).to_csv(turned / "captions.csv", index=False)
    command[1] = turned
    assert run(*command, tmp_path / "turned_report") == 0
    again = pd.read_csv(tmp_path / "turned_report/scores.csv")
    assert np.abs(again["robust-8"].to_numpy() - scores["robust-8"].to_numpy()).max() < 1e-3
    assert np.abs(again["half-crop"].to_numpy() - scores["half-crop"].to_numpy()).max() > 1e-2

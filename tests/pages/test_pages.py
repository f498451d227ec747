"""The files of pages: what they hold, what is kept, and that nothing of others acts in them."""

import base64
import io
import json
import os
import re
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clip360.pages import pictures
from clip360.pages.assets import VIEWER
from clip360.pages.comparison_page import ASSETS as COMPARISON
from clip360.pages.pictures import write_pictures
from clip360.pages.score_page import ASSETS as SCORES
from clip360.pages.score_page import write_score_page
from tests.pages.made import records_of, summary_of, write_set

HOSTILE = [
    "<script>alert(1)</script>",
    "</title><img src=x onerror=alert(1)>",
    "\" onload='alert(1)' x=\"",
    "{{ 7 * 7 }}{% for x in y %}",
    "<!--",
    "&lt;b&gt;",
    "]]></style>",
    "javascript:alert(1)",
]


class Page(HTMLParser):
    """Tags with the names of their attributes, and the words and the data, of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, *(name for name, _ in attributes)))

    def handle_data(self, data):
        self.words.append(data)


def test_nothing_in_a_report_acts(tmp_path):
    """Whatever a set and a model are called and say, the page has the same tags, and holds the words as they are."""

    def page(texts: list[str]) -> Page:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        names = [f"{k}{text.replace('/', '-')}.png" for k, text in enumerate(texts)]
        images = write_set(folder / "set", texts, names)
        records = records_of(images)
        path = write_score_page(folder, records, summary_of(records, model=texts[0]) | {"cue": texts[1]}, images)
        return Page(path.read_text(encoding="utf-8"))

    plain, hostile = page([f"text {k}" for k in range(len(HOSTILE))]), page(HOSTILE)
    assert hostile.tags == plain.tags and all(not name.startswith("on") for tag in hostile.tags for name in tag)
    (data,) = [json.loads(words) for words in hostile.words if words.startswith('{"columns"')]
    assert data["table"]["text"]["caption"] == HOSTILE
    assert HOSTILE[0] in hostile.words and HOSTILE[1] in hostile.words


@pytest.mark.parametrize("assets", [VIEWER, SCORES, COMPARISON], ids=["viewer", "scores", "comparison"])
def test_scripts_and_styles_can_stand_in_a_page(assets):
    """Neither ends its element, asks for a file of others, or needs a right that the policy of the page withholds."""
    assert not re.search(r"</script|<!--(?!\[if)", assets.js(), re.IGNORECASE) and "</style" not in assets.css()
    assert not re.search(r"@import|url\((?!['\"]?data:)", assets.css())
    assert not re.search(r"\beval\(|new Function|\bfetch\(", assets.js())


def test_the_licence_of_the_viewer_is_shipped():
    folder = Path("lib/pages/pannellum")
    assert "Permission is hereby granted, free of charge" in (folder / "LICENSE").read_text()
    assert "Pannellum 2.5.7" in (folder / "pannellum.js").read_text()[:100]


def jpeg(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


def test_a_panorama_is_a_script_with_its_picture_and_its_seam(tmp_path, monkeypatch):
    """The strip is cut from the pixels as they are, though the picture is smaller."""
    monkeypatch.setattr(pictures, "WIDTH", 256)
    x = np.linspace(0, 255, 512).astype(np.uint8)
    panorama = np.broadcast_to(x, (3, 256, 512)).copy()
    places = write_pictures(tmp_path / "page.html", {"0" * 16: lambda: torch.from_numpy(panorama)})
    script = (tmp_path / places.panoramas / f"{'0' * 16}.js").read_text()
    name, urls = re.fullmatch(r'clip360\.receivePicture\("(\w+)",(\{.*\})\);\n', script).groups()
    urls = json.loads(urls)
    assert name == "0" * 16 and jpeg(urls["panorama"]).size == (256, 128)
    strip = np.asarray(jpeg(urls["seam"]).convert("L")).astype(int)
    expected = np.roll(panorama[0], 48, axis=1)[:, :96].astype(int)
    assert strip.shape == expected.shape and np.abs(strip - expected).mean() < 3
    assert jpeg(places.thumbnails["0" * 16]).size == pictures.THUMBNAIL


def test_pictures_are_kept_and_those_of_no_panorama_are_removed(tmp_path):
    read = []

    def reader(name: str):
        read.append(name)
        return torch.zeros(3, 8, 16, dtype=torch.uint8)

    a, b, c = (letter * 16 for letter in "abc")
    write_pictures(tmp_path / "page.html", {a: partial(reader, a), b: partial(reader, b)})
    other = tmp_path / "page_files" / "thumbnails" / "mine.jpg"
    other.write_text("")
    write_pictures(tmp_path / "page.html", {b: partial(reader, b), c: partial(reader, c)})
    assert read == [a, b, c]
    left = {Path(folder, file).stem for folder, _, files in os.walk(tmp_path / "page_files") for file in files}
    assert left == {b, c, "mine"}

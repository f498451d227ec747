"""Fetching from Wikimedia Commons against a local server that plays the MediaWiki Action API."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clip360.data.image_set import load_image_set
from clip360.fetch.captions import shortened, without_format
from clip360.fetch.commons import BUSY, CATEGORY, FREE, Commons, caption
from clip360.fetch.image_sets import fetch_image_sets
from tests.fetch.web_server import WebServer, contents, impatient_connect, jpeg, pixels, serving

HEIGHT = 16
API = "/w/api.php"
BY_SA = {"LicenseShortName": "CC BY-SA 4.0", "LicenseUrl": "https://creativecommons.org/licenses/by-sa/4.0"}
ARTIST = {"Artist": '<a href="//commons.wikimedia.org/wiki/User:Ada" title="User:Ada">Ada &amp; Co</a>'}
HTML = '<p><span lang="en">English: A full 360° panorama of the <b>old&nbsp;quay</b>,<br>at dusk</span></p><style>b{}</style>'
ROTATED = Image.Exif()
ROTATED[274] = 3  # upside down
# title, what differs from a good file, description
FILES = {
    1: ("File:Old quay.jpg", {}, {"ImageDescription": HTML}),
    2: ("File:Köln/../..\\Dom\u202e 360° panorama.jpg", {}, {}),
    3: ("File:Square.jpg", {"shape": (256, 256)}, {}),
    4: ("File:Nearly.jpg", {"shape": (511, 256)}, {"ImageDescription": "Nearly twice as wide"}),
    5: ("File:Closed.jpg", {}, {"LicenseShortName": "CC BY-NC 4.0"}),
    6: ("File:Nobody.jpg", {}, {"Artist": ""}),
    7: ("File:Drawn.svg", {"mime": "image/svg+xml"}, {}),
    8: ("File:Lost.jpg", {"lost": True}, {}),
    9: ("File:Public.jpg", {}, {"LicenseShortName": "Public domain", "LicenseUrl": "", "Artist": ""}),
    10: ("File:Upside down.jpg", {"exif": ROTATED}, {}),
    11: ("File:Small.jpg", {"shape": (16, 8)}, {}),
    12: ("File:Again.jpg", {"like": 1}, {}),
}
LEFT_OUT = {
    3: "Square.jpg is not as expected: 256 x 256, not twice as wide as high",
    5: "Closed.jpg is left out: its licence is CC BY-NC 4.0",
    6: "Nobody.jpg is left out: CC BY-SA 4.0 asks for an author",
    7: "Drawn.svg is not as expected: image/svg+xml, not image/jpeg",
    8: "/8.jpg is not there (status 404)",
    11: "Small.jpg is not as expected: 16 x 8",
}
KEPT = {1, 2, 4, 9, 10}  # and 1 or 12, whichever comes first


class Wiki:
    """Answers queries as the API does: lists of 5, pages in batches of 4 that come without extmetadata first."""

    def __init__(self, server: WebServer):
        self.server, self.bodies = server, {}
        server.pages[API] = self.answer
        for page_id, (_, changes, _) in FILES.items():
            width, height = changes.get("shape", (512, 256))
            exif = {"exif": changes["exif"]} if "exif" in changes else {}
            self.bodies[page_id] = jpeg(width, height, changes.get("like", page_id), **exif)
            if not changes.get("lost"):
                server.pages[f"/{page_id}.jpg"] = self.bodies[page_id]

    def answer(self, query: dict) -> dict:
        assert (query["action"], query["format"], query["formatversion"], query["maxlag"]) == (
            "query",
            "json",
            "2",
            "5",
        )
        return self.members(query) if query.get("list") else self.pages(query)

    def members(self, query: dict) -> dict:
        if query["cmtitle"] != f"Category:{CATEGORY}":
            return {"batchcomplete": True, "query": {"categorymembers": []}}
        start = int(query.get("cmcontinue", 0))
        found = {"query": {"categorymembers": [{"pageid": page_id} for page_id in list(FILES)[start : start + 5]]}}
        return found | ({"continue": {"cmcontinue": start + 5, "continue": "-||"}} if start + 5 < len(FILES) else {})

    def pages(self, query: dict) -> dict:
        start, ids = int(query.get("iistart", 0)), [int(page_id) for page_id in query["pageids"].split("|")]
        pages = [{"pageid": page_id, "title": FILES[page_id][0]} for page_id in ids]
        for page in pages[start : start + 4]:
            page["imageinfo"] = [self.info(page["pageid"])]
        more = {"continue": {"iistart": start + 4, "continue": "||"}} if start + 4 < len(pages) else {}
        return {"query": {"pages": pages}} | more

    def info(self, page_id: int) -> dict:
        _, changes, metadata = FILES[page_id]
        width, height = changes.get("shape", (512, 256))
        body = self.bodies[page_id]
        return {
            "size": len(body),
            "width": width,
            "height": height,
            "url": f"{self.server.address}/{page_id}.jpg",
            "descriptionurl": f"https://commons.wikimedia.org/?curid={page_id}",
            "sha1": hashlib.sha1(body).hexdigest(),
            "mime": changes.get("mime", "image/jpeg"),
            "extmetadata": {key: {"value": value, "source": "x"} for key, value in (BY_SA | ARTIST | metadata).items()},
        }


@pytest.fixture
def wiki():
    with serving() as server:
        yield Wiki(server)


def run(folder: Path, wiki: Wiki, count: int = len(FILES), **options):
    get = impatient_connect()
    source = Commons(get, height=HEIGHT, api=f"{wiki.server.address}{API}", **options)
    return fetch_image_sets(get, source, folder, {"set": count}, seed=0, height=HEIGHT)


def test_what_is_fetched_is_free_attributed_and_a_panorama(tmp_path, wiki):
    fetched = run(tmp_path, wiki)
    attribution = pd.read_csv(tmp_path / "set/attribution.csv", keep_default_na=False).set_index("id")
    assert set(attribution.index) - {12} | {1} == KEPT and fetched.sizes == {"set": len(KEPT)}
    for page_id, sentence in LEFT_OUT.items():
        (found,) = [
            left_out for left_out in fetched.left_out if FILES[page_id][0][5:] in left_out or f"/{page_id}." in left_out
        ]
        assert sentence in found
    assert sum("is the same file as another panorama" in sentence for sentence in fetched.left_out) == 1
    assert len(fetched.left_out) == len(LEFT_OUT) + 1
    nearly = attribution.loc[4]
    assert nearly[["author", "licence", "licence_url"]].tolist() == ["Ada & Co", *BY_SA.values()]
    assert nearly.page.endswith("?curid=4") and nearly.checksum == f"sha1:{hashlib.sha1(wiki.bodies[4]).hexdigest()}"
    assert attribution.licence[9] == "Public domain"
    image_set = load_image_set(tmp_path / "set")
    assert next(image_set.batches(9)).shape == (5, 3, HEIGHT, 2 * HEIGHT)
    assert set(image_set.table.image) >= {"koln_dom_360_panorama_2.jpg", "nearly_4.jpg", "public_9.jpg"}
    captions = dict(zip(image_set.table.image, image_set.table.caption, strict=True))
    assert (
        captions["koln_dom_360_panorama_2.jpg"] == "Köln/../..\\Dom"
        and captions["nearly_4.jpg"] == "Nearly twice as wide"
    )
    assert all(path.parent == tmp_path / "set/images" for path in tmp_path.rglob("*.jpg"))
    upright = Image.fromarray(pixels(512, 256, 10)[::-1, ::-1])
    plain = upright.resize((2 * HEIGHT, HEIGHT), Image.Resampling.LANCZOS)
    with Image.open(tmp_path / "set/images/upside_down_10.jpg") as stored:
        assert np.abs(np.asarray(stored, int) - np.asarray(plain, int)).max() <= 8


def test_requests_are_few_and_name_whoever_sends_them(tmp_path, wiki):
    run(tmp_path, wiki)
    queries = [query for _, path, query, _ in wiki.server.log if path == API]
    assert [bool(query.get("list")) for query in queries] == [True] * 3 + [False] * 3
    assert queries[3]["iiprop"] == "url|size|sha1|mime|extmetadata" and len(queries[3]["pageids"].split("|")) == len(
        FILES
    )
    wiki.server.log.clear()
    run(tmp_path / "one", wiki, count=1)
    assert sum(path.endswith(".jpg") for _, path, _, _ in wiki.server.log) <= 3


@pytest.mark.parametrize("failure", ["maxlag", "busy", "broken", "no json", "late"])
def test_temporary_failures_change_nothing(tmp_path, wiki, failure):
    run(tmp_path / "plain", wiki)
    wiki.server.log.clear()
    wiki.server.failures = {API: failure, "/9.jpg": "cut off"}
    run(tmp_path / "failures", wiki)
    assert not wiki.server.failures and len(wiki.server.fetched("/9.jpg")) == 2
    assert contents(tmp_path / "failures") == contents(tmp_path / "plain")
    first, second = wiki.server.fetched(API)[:2]
    assert second - first >= (1 if failure in ("maxlag", "busy") else 0)  # Retry-After


def test_permanent_failures_are_one_sentence(tmp_path, wiki, monkeypatch):
    monkeypatch.setattr("clip360.fetch.web.MAX_RETRIES", 0)
    wiki.server.permanent = {API, "/9.jpg"}
    wiki.server.failures = {API: "maxlag"}
    with pytest.raises(RuntimeError, match="is busy .maxlag: Waiting for db1: 7 seconds lagged.: fetch again later"):
        run(tmp_path, wiki)
    wiki.server.failures = {"/9.jpg": "other"}
    with pytest.raises(RuntimeError, match=r"9.jpg came damaged 3 times .public_9.jpg: expected \d+ bytes with SHA1"):
        run(tmp_path, wiki)
    wiki.server.failures = {}
    assert run(tmp_path, wiki).sizes == {"set": len(KEPT)}
    with pytest.raises(ValueError, match="the category 'Nothing' of .* holds no files"):
        run(tmp_path / "none", wiki, category="Category:Nothing")
    for answer, message in (
        (
            {"error": {"code": "badvalue", "info": "Unrecognised\nvalue"}},
            "refuses the request .badvalue: Unrecognised value",
        ),
        ({"query": []}, "came damaged 3 times .expected a query that is an object"),
        (
            {"query": {"categorymembers": [{"pageid": 1}]}, "continue": {"cmcontinue": 1}},
            "continues its answer where it began",
        ),
    ):
        wiki.server.pages[API] = lambda _, answer=answer: answer
        with pytest.raises(RuntimeError, match=message) as caught:
            run(tmp_path / "none", wiki)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "none").exists() and "maxlag" in BUSY


def test_only_free_licences_match():
    free = [
        "CC0",
        "CC0 1.0",
        "Public domain",
        "CC BY 4.0",
        "CC BY-SA 3.0",
        "cc-by-sa-2.5",
        "CC BY-SA 3.0 de",
        "CC BY-SA 2.5 nl",
    ]
    other = [
        "",
        "CC BY-NC 4.0",
        "CC BY-ND 2.0",
        "CC BY-NC-SA 2.0",
        "GFDL",
        "Copyrighted free use",
        "All rights reserved",
        "CC BY",
    ]
    assert all(map(FREE.fullmatch, free)) and not any(map(FREE.fullmatch, other))


CAPTIONS = {
    "360° panorama of the Dom, Salzburg": "the Dom, Salzburg",
    "Full spherical panorama (360 x 180 degrees) inside the mine": "the mine",
    "Interior of a mosque. 360-degree equirectangular photo.": "Interior of a mosque",
    "The lake, photosphere": "The lake",
    "Harbour as a 360° panorama": "Harbour",
    "Equirectangular projection of a photosphere taken at the beach": "the beach",
    "The 360×180° VR panorama (spherical) inside of the dome": "the dome",
    "Room 360 of the hotel, 1999": "Room 360 of the hotel, 1999",
    "Viewpoint at 1360 m": "Viewpoint at 1360 m",
    "360° panorama": "",
    "": "",
}


def test_captions_say_nothing_of_the_format():
    assert {text: without_format(text) for text in CAPTIONS} == CAPTIONS
    assert caption("Old_mill_IMG_2041_360.jpg", "A 360 panorama") == "Old mill IMG"
    assert caption("360 panorama.jpg", "") == "a place"
    assert len(shortened("word " * 100)) <= 200 and shortened("A. " + "b" * 300) == "A"

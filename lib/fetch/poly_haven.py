"""Panoramas of Poly Haven (https://polyhaven.com, CC0): a client of its public API, and captions from its metadata.

``/assets?type=hdris`` lists the assets; ``/files/ID`` the files of one, with a tone-mapped JPEG, its size and its MD5.
The terms of the API ask for a User-Agent specific to the client, and for the credit "Powered by Poly Haven".
"""

import re
from collections.abc import Callable, Iterable, Iterator

from clip360.fetch.captions import FORMAT_WORDS
from clip360.fetch.source import Panorama
from clip360.fetch.web import json_object

API = "https://api.polyhaven.com"
PAGES = "https://polyhaven.com/a"
LICENCE, LICENCE_URL = "CC0 1.0", "https://creativecommons.org/publicdomain/zero/1.0/"
CATEGORY_PHRASES = {  # the phrase of a caption for each category
    "studio": "in a studio",
    "indoor": "indoors",
    "outdoor": "outdoors",
    "morning-afternoon": "in the morning or afternoon",
    "midday": "at midday",
    "sunrise-sunset": "at sunrise or sunset",
    "night": "at night",
    "clear": "in clear weather",
    "partly cloudy": "in partly cloudy weather",
    "overcast": "in overcast weather",
}
MAX_TAGS = 5  # in a caption


class PolyHaven:
    """Poly Haven as a ``clip360.fetch.source.Source``; ``get`` comes from ``clip360.fetch.web.connect``."""

    name, credit = "Poly Haven", "powered by Poly Haven"

    def __init__(self, get: Callable, api: str = API):
        self._get, self._api, self._assets = get, api.rstrip("/"), {}

    def ids(self) -> list[str]:
        """The ids of all panoramas, sorted; errors as for ``get``."""
        self._assets = self._get(f"{self._api}/assets", _read_assets, type="hdris")
        return list(self._assets)

    def describe(self, ids: Iterable[str]) -> Iterator[Panorama | ValueError]:
        """For each id in order its panorama, or the reason why it has no image."""
        for asset in ids:
            yield self._describe(asset)

    def _describe(self, asset: str) -> Panorama | ValueError:
        if asset not in self._assets:
            return ValueError(f"{asset} is no longer on Poly Haven")
        try:
            file = self._get(f"{self._api}/files/{asset}", json_object).get("tonemapped")
        except FileNotFoundError as error:
            return ValueError(f"{asset} is left out: {error}")
        if not isinstance(file, dict) or not _describes_a_file(file):
            return ValueError(f"{asset} has no tone-mapped image with URL, size and MD5")
        about = self._assets[asset]
        return Panorama(
            id=asset,
            image=f"{asset}.jpg",
            title=" ".join(about["name"].split()),
            author=" ".join(", ".join(about.get("authors") or ()).split()),
            licence=LICENCE,
            licence_url=LICENCE_URL,
            page=f"{PAGES}/{asset}",
            url=file["url"],
            size=file["size"],
            checksum=f"md5:{file['md5']}",
            caption=caption(about["name"], about.get("categories") or (), about.get("tags") or ()),
        )


def _describes_a_file(file: dict) -> bool:
    texts = isinstance(file.get("url"), str) and isinstance(file.get("md5"), str)
    return texts and isinstance(file.get("size"), int) and bool(re.fullmatch("[0-9a-f]{32}", file["md5"]))


def _read_assets(body: bytes) -> dict[str, dict]:
    """The metadata of each panorama (name, categories, tags, authors, ...) by its id, sorted by id."""
    assets = json_object(body)
    for asset, metadata in assets.items():
        named = isinstance(metadata, dict) and isinstance(metadata.get("name"), str)
        valid = named and all(map(_are_texts, (metadata.get(key) for key in ("categories", "tags", "authors"))))
        if not valid or not re.fullmatch("[A-Za-z0-9_-]{1,200}", asset):  # an id becomes a file name
            raise ValueError(f"expected assets with a plain id, a name, and texts, found {asset!r}")
    return dict(sorted(assets.items()))


def _are_texts(value: object) -> bool:
    return value is None or (isinstance(value, list | dict) and all(isinstance(text, str) for text in value))


def caption(name: str, categories: Iterable[str], tags: Iterable[str]) -> str:
    """Caption of an asset: its name, then the phrases of its categories, then its first tags.

    The caption leaves out words that name the format, words with digits, and tags whose words are all in the name.

    >>> caption("Parched Canal 02", ["nature", "clear", "outdoor"], ["tree", "canal", "dry grass"])
    'a parched canal outdoors in clear weather: tree, dry grass'
    >>> caption("360 HDRI", [], [])
    'a place'
    """
    name = _plain(name) or "place"
    article = "an" if name[0] in "aeiou" else "a"
    phrases = [phrase for category, phrase in CATEGORY_PHRASES.items() if category in categories]
    new_tags = [tag for tag in dict.fromkeys(map(_plain, tags)) if not set(tag.split()) <= set(name.split())]
    return " ".join([article, name, *phrases]) + (": " + ", ".join(new_tags[:MAX_TAGS]) if new_tags else "")


def _plain(text: str) -> str:
    words = re.findall(r"[\w'-]+", text.lower().replace("_", " "))
    return " ".join(word for word in words if word not in FORMAT_WORDS and not re.search(r"\d", word))

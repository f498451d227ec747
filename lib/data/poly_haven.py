"""Panoramas of Poly Haven (https://polyhaven.com, CC0): a client of its public API, and captions from what it tells.

``/assets?type=hdris`` lists the assets; ``/files/ID`` the files of one, with a tone-mapped JPEG, its size and its MD5.
The API's terms ask for a User-Agent of one's own, and for the credit "Powered by Poly Haven".
"""

import hashlib
import io
import json
import re
import time
from collections.abc import Callable, Iterable

import requests
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

API = "https://api.polyhaven.com"
FORMAT = {"hdr", "hdri", "panorama", "panoramic", "equirectangular", "spherical", "backplate", "backplates"}
SAID = {  # what a caption makes of a category
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
TAGS = 5  # at most as many in a caption
REPEATS = 5  # of a request that gets no answer, or is refused for now
ATTEMPTS = 3  # at a body that arrives damaged
HIGHEST = 16_384  # pixels of a picture that is decoded


def caption(name: str, categories: Iterable[str], tags: Iterable[str]) -> str:
    """Caption of an asset: its name, then what ``SAID`` makes of its categories, then its first tags.

    Words that name the format are left out, and so are words with digits and tags that the name says already.

    >>> caption("Parched Canal 02", ["nature", "clear", "outdoor"], ["tree", "canal", "dry grass"])
    'a parched canal outdoors in clear weather: tree, dry grass'
    >>> caption("360 HDRI", [], [])
    'a place'
    """
    name = _plain(name) or "place"
    article = "an" if name[0] in "aeiou" else "a"
    phrases = [phrase for category, phrase in SAID.items() if category in categories]
    unsaid = [tag for tag in dict.fromkeys(map(_plain, tags)) if not set(tag.split()) <= set(name.split())]
    return " ".join([article, name, *phrases]) + (": " + ", ".join(unsaid[:TAGS]) if unsaid else "")


def _plain(text: str) -> str:
    words = re.findall(r"[\w'-]+", text.lower().replace("_", " "))
    return " ".join(word for word in words if word not in FORMAT and not re.search(r"\d", word))


def connect(rate: float = 2.0, timeout: float = 30.0, backoff: float = 1.0) -> Callable:
    """A function ``get(url, read)`` that returns what ``read`` makes of the bytes at ``url``.

    At most ``rate`` requests a second, repeated ones too. A request that gets no answer for ``timeout`` seconds, or the
    status 429 or 5xx, is repeated at once, then after ``backoff`` times 2, 4, 8, ... seconds, or when Retry-After says;
    bytes that ``read`` refuses with ValueError are fetched anew. Where that does not help, ``get`` raises RuntimeError.
    """
    due = 0.0

    def pace() -> None:
        nonlocal due
        time.sleep(max(0.0, due - time.monotonic()))
        due = time.monotonic() + 1 / rate

    class PacedRetry(Retry):  # Retry alone repeats outside the rate
        def sleep(self, response=None) -> None:
            super().sleep(response)
            pace()

    retry = PacedRetry(REPEATS, backoff_factor=backoff, status_forcelist=[429, *range(500, 600)])
    session = requests.Session()
    session.headers["User-Agent"] = "clip360"
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))

    def get(url: str, read: Callable):
        for attempt in range(ATTEMPTS):
            time.sleep(backoff * 2**attempt if attempt else 0)
            pace()
            try:
                response = session.get(url, timeout=timeout, stream=True)
                response.raise_for_status()
            except requests.RequestException as error:
                raise RuntimeError(
                    f"{url} cannot be fetched ({error}): import again later, it goes on where it stopped"
                ) from error
            try:
                return read(_body(response))
            except ValueError as error:
                fault = error
        raise RuntimeError(
            f"{url} came damaged {ATTEMPTS} times ({fault}): import again later, it goes on where it stopped"
        ) from fault

    return get


def _body(response: requests.Response) -> bytes:
    # What arrived of a body that breaks off is returned: its reader tells best what is missing.
    response.raw.enforce_content_length = False
    body = bytearray()
    try:
        for chunk in response.iter_content(1 << 16):
            body += chunk
    except requests.RequestException:
        pass
    return bytes(body)


def list_assets(get: Callable, api: str) -> dict[str, dict]:
    """What the API tells of each panorama (its name, categories, tags, authors, ...), in the order of the ids."""

    def read(body: bytes) -> dict[str, dict]:
        assets = _json_object(body)
        for asset, about in assets.items():
            named = isinstance(about, dict) and isinstance(about.get("name"), str)
            told = named and all(map(_are_texts, (about.get(key) for key in ("categories", "tags", "authors"))))
            if not told or not re.fullmatch("[A-Za-z0-9_-]{1,200}", asset):  # an id becomes a file name
                raise ValueError(f"expected assets with a plain id, a name, and texts, found {asset!r}")
        return dict(sorted(assets.items()))

    return get(f"{api}/assets?type=hdris", read)


def _are_texts(value: object) -> bool:
    return value is None or (isinstance(value, list | dict) and all(isinstance(text, str) for text in value))


def fetch_panorama(get: Callable, api: str, asset: str, height: int) -> tuple[Image.Image, str, str]:
    """The tone-mapped picture of an asset, scaled down to 2 ``height`` x ``height``, and URL and MD5 of the original.

    Raises ValueError if there is no such picture, or it is not 2:1 or too small, and RuntimeError as ``get`` does.
    """
    file = get(f"{api}/files/{asset}", _json_object).get("tonemapped")
    if not isinstance(file, dict) or not {"size", "md5"} <= file.keys() or not isinstance(file.get("url"), str):
        raise ValueError(f"{asset} has no tone-mapped picture with URL, size and MD5")

    def check(body: bytes) -> bytes:
        md5 = hashlib.md5(body).hexdigest()
        if (len(body), md5) != (file["size"], file["md5"]):
            raise ValueError(
                f"picture of {asset}: expected {file['size']} bytes with MD5 {file['md5']},"
                f" found {len(body)} bytes with MD5 {md5}"
            )
        return body

    body = get(file["url"], check)
    try:
        return _scaled_down(body, height), file["url"], file["md5"]
    except (ValueError, SyntaxError, OSError) as error:  # SyntaxError is what PIL raises for other formats
        raise ValueError(f"the picture of {asset} is not as expected: {error}") from error


def _json_object(body: bytes) -> dict:
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {type(value).__name__}")
    return value


def _scaled_down(jpeg: bytes, height: int) -> Image.Image:
    # Image.open would refuse the largest of these pictures, 24k wide, as an attack.
    picture = JpegImageFile(io.BytesIO(jpeg))
    if picture.width != 2 * picture.height or not height <= picture.height <= HIGHEST:
        raise ValueError(
            f"{picture.width} x {picture.height}, not twice as wide as high and {height} to {HIGHEST} high"
        )
    # Decoded no larger than the filter needs, as all its pixels can take a gigabyte.
    _, box = picture.draft("RGB", (8 * height, 4 * height))
    return picture.convert("RGB").resize((2 * height, height), Image.Resampling.LANCZOS, box)

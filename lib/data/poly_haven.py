"""Panoramas of Poly Haven (https://polyhaven.com, CC0): a client of its public API, and captions from its metadata.

``/assets?type=hdris`` lists the assets; ``/files/ID`` the files of one, with a tone-mapped JPEG, its size and its MD5.
The terms of the API ask for a User-Agent specific to the client, and for the credit "Powered by Poly Haven".
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
FORMAT_WORDS = {"hdr", "hdri", "panorama", "panoramic", "equirectangular", "spherical", "backplate", "backplates"}
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
MAX_RETRIES = 5  # of a request that fails or is refused temporarily
MAX_DOWNLOADS = 3  # of a body that arrives damaged
MAX_HEIGHT = 16_384  # pixels of an image to decode


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


def connect(rate: float = 2.0, timeout: float = 30.0, backoff: float = 1.0) -> Callable:
    """A function ``get(url, read)`` that returns ``read(body)`` of the bytes at ``url``.

    It sends at most ``rate`` requests per second, retries included. It retries a request without an answer for ``timeout``
    seconds, or with status 429 or 5xx, at once, then after ``backoff`` times 2, 4, 8, ... seconds, or at the time of
    Retry-After. It downloads bytes again that ``read`` rejects with ValueError. ``get`` raises RuntimeError when the last
    retry fails.
    """
    next_request = 0.0

    def pace() -> None:
        nonlocal next_request
        time.sleep(max(0.0, next_request - time.monotonic()))
        next_request = time.monotonic() + 1 / rate

    class PacedRetry(Retry):  # Retry alone does not keep to the rate
        def sleep(self, response=None) -> None:
            super().sleep(response)
            pace()

    retry = PacedRetry(MAX_RETRIES, backoff_factor=backoff, status_forcelist=[429, *range(500, 600)])
    session = requests.Session()
    session.headers["User-Agent"] = "clip360"
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))

    def get(url: str, read: Callable):
        for attempt in range(MAX_DOWNLOADS):
            time.sleep(backoff * 2**attempt if attempt else 0)
            pace()
            try:
                response = session.get(url, timeout=timeout, stream=True)
                response.raise_for_status()
            except requests.RequestException as error:
                raise RuntimeError(
                    f"{url} cannot be fetched ({error}): import again later, it continues where it stopped"
                ) from error
            try:
                return read(_body(response))
            except ValueError as error:
                damage = error
        raise RuntimeError(
            f"{url} came damaged {MAX_DOWNLOADS} times ({damage}): import again later, it continues where it stopped"
        ) from damage

    return get


def _body(response: requests.Response) -> bytes:
    # Return an incomplete body too: its reader reports best what is missing.
    response.raw.enforce_content_length = False
    body = bytearray()
    try:
        for chunk in response.iter_content(1 << 16):
            body += chunk
    except requests.RequestException:
        pass
    return bytes(body)


def list_assets(get: Callable, api: str) -> dict[str, dict]:
    """The metadata of each panorama (name, categories, tags, authors, ...) by its id, sorted by id; errors as for ``get``."""

    def read(body: bytes) -> dict[str, dict]:
        assets = _json_object(body)
        for asset, metadata in assets.items():
            named = isinstance(metadata, dict) and isinstance(metadata.get("name"), str)
            valid = named and all(map(_are_texts, (metadata.get(key) for key in ("categories", "tags", "authors"))))
            if not valid or not re.fullmatch("[A-Za-z0-9_-]{1,200}", asset):  # an id becomes a file name
                raise ValueError(f"expected assets with a plain id, a name, and texts, found {asset!r}")
        return dict(sorted(assets.items()))

    return get(f"{api}/assets?type=hdris", read)


def _are_texts(value: object) -> bool:
    return value is None or (isinstance(value, list | dict) and all(isinstance(text, str) for text in value))


def fetch_panorama(get: Callable, api: str, asset: str, height: int) -> tuple[Image.Image, str, str]:
    """The tone-mapped image of an asset, scaled down to 2 ``height`` x ``height``, and URL and MD5 of the original.

    Raises ValueError if the asset has no such image, or it is not 2:1 or too small, and RuntimeError as ``get`` does.
    """
    file = get(f"{api}/files/{asset}", _json_object).get("tonemapped")
    if not isinstance(file, dict) or not {"size", "md5"} <= file.keys() or not isinstance(file.get("url"), str):
        raise ValueError(f"{asset} has no tone-mapped image with URL, size and MD5")

    def check(body: bytes) -> bytes:
        md5 = hashlib.md5(body).hexdigest()
        if (len(body), md5) != (file["size"], file["md5"]):
            raise ValueError(
                f"image of {asset}: expected {file['size']} bytes with MD5 {file['md5']},"
                f" found {len(body)} bytes with MD5 {md5}"
            )
        return body

    body = get(file["url"], check)
    try:
        return _scaled_down(body, height), file["url"], file["md5"]
    except (ValueError, SyntaxError, OSError) as error:  # SyntaxError is what PIL raises for other formats
        raise ValueError(f"the image of {asset} is not as expected: {error}") from error


def _json_object(body: bytes) -> dict:
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError(f"expected a JSON object, found {type(value).__name__}")
    return value


def _scaled_down(jpeg: bytes, height: int) -> Image.Image:
    # Image.open would refuse the largest of these images, 24k wide, as an attack.
    image = JpegImageFile(io.BytesIO(jpeg))
    if image.width != 2 * image.height or not height <= image.height <= MAX_HEIGHT:
        raise ValueError(f"{image.width} x {image.height}, not twice as wide as high and {height} to {MAX_HEIGHT} high")
    # Decode no larger than the filter needs, because all pixels can take a gigabyte.
    _, box = image.draft("RGB", (8 * height, 4 * height))
    return image.convert("RGB").resize((2 * height, height), Image.Resampling.LANCZOS, box)

"""Panoramas of Wikimedia Commons (https://commons.wikimedia.org): a client of the MediaWiki Action API, free licences only.

``list=categorymembers`` lists the files of a category; ``prop=imageinfo`` gives of each its size, SHA-1, licence, author and
description (https://www.mediawiki.org/wiki/API:Imageinfo). As the API's etiquette asks, requests follow one another, name 50
files at a time and carry ``maxlag``, with which a busy server refuses them. Originals are fetched, because thumbnails are
compressed anew, and have no checksum.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from html.parser import HTMLParser
from itertools import islice

from clip360.fetch.captions import shortened, without_format
from clip360.fetch.source import Panorama, require_shape
from clip360.fetch.web import Busy, json_object

API = "https://commons.wikimedia.org/w/api.php"
CATEGORY = "360° panoramas with equirectangular projection"
FILES_A_REQUEST = 50  # the most ids that a request may name
MAX_LAG = 5  # seconds that the copies of the database may lag behind
BUSY = {"maxlag", "ratelimited", "readonly"}  # codes of errors that pass
MAX_BYTES = 150_000_000  # of an original
MAX_DESCRIPTION = 2000  # characters to read
FREE = re.compile(r"(?P<open>cc0([ -]1\.0)?|public domain)|cc[ -]by([ -]sa)?[ -]\d\.\d([ -][a-z]{2,7})?", re.IGNORECASE)
METADATA = "ImageDescription|Artist|LicenseShortName|LicenseUrl|NonFree"


class Commons:
    """A category of Wikimedia Commons as a ``clip360.fetch.source.Source``.

    ``get`` comes from ``clip360.fetch.web.connect``; ``height`` is that of the panoramas to be made, below which files are
    left out. Files of subcategories are not among those of a category.
    """

    name, credit = "Wikimedia Commons", "from Wikimedia Commons, whose authors attribution.csv names"

    def __init__(self, get: Callable, *, height: int, category: str = CATEGORY, api: str = API):
        self._get, self._api, self._height = get, api, height
        self._category = category.removeprefix("Category:").strip()

    def ids(self) -> list[str]:
        """The page ids of all files in the category; ValueError if there are none, else errors as for ``get``."""
        listing = {"list": "categorymembers", "cmtitle": f"Category:{self._category}", "cmtype": "file"}
        answers = self._query(**listing, cmprop="ids", cmlimit=500)
        members = [member for found in answers for member in _objects(found, "categorymembers")]
        ids = [str(member["pageid"]) for member in members if isinstance(member.get("pageid"), int)]
        if not ids:
            raise ValueError(f"--category: the category {self._category!r} of {self._api} holds no files")
        return list(dict.fromkeys(ids))

    def describe(self, ids: Iterable[str]) -> Iterator[Panorama | ValueError]:
        """For each page id in order its panorama, or the reason why it cannot be used: shape, format, size or licence."""
        remaining = iter(ids)
        while batch := list(islice(remaining, FILES_A_REQUEST)):
            pages = self._pages(batch)
            for page_id in batch:
                yield self._described(page_id, pages.get(page_id, {}))

    def _pages(self, ids: Sequence[str]) -> dict[str, dict]:
        """The pages with these ids; what an answer leaves out of a page comes with a later one."""
        pages = {}
        query = {"pageids": "|".join(ids), "prop": "imageinfo", "iiprop": "url|size|sha1|mime|extmetadata"}
        for found in self._query(**query, iiextmetadatafilter=METADATA, iiextmetadatalanguage="en"):
            for page in _objects(found, "pages"):
                pages.setdefault(str(page.get("pageid")), {}).update(page)
        return pages

    def _query(self, **parameters: str | int) -> Iterator[dict]:
        """What the API answers, in as many parts as it takes."""
        fixed = {"action": "query", "format": "json", "formatversion": 2, "maxlag": MAX_LAG} | parameters
        following: dict = {}
        while True:
            answer = self._get(self._api, _read_answer, **fixed | following)
            yield answer.get("query", {})
            if not (then := answer.get("continue")):
                return
            if then == following:
                raise RuntimeError(f"{self._api} continues its answer where it began: fetch again later")
            following = then

    def _described(self, page_id: str, page: dict) -> Panorama | ValueError:
        try:
            return self._panorama(page_id, page)
        except ValueError as error:
            return error

    def _panorama(self, page_id: str, page: dict) -> Panorama:
        title = _plain(str(page.get("title", page_id))).removeprefix("File:")
        info = next(iter(_objects(page, "imageinfo")), None)
        if page.get("missing") or info is None:
            raise ValueError(f"{title} is not there any more")
        try:
            if info.get("mime") != "image/jpeg":
                raise ValueError(f"{info.get('mime')}, not image/jpeg")
            require_shape(_number(info, "width"), _number(info, "height"), self._height)
            if (size := _number(info, "size")) > MAX_BYTES:
                raise ValueError(f"{size} bytes, more than {MAX_BYTES}")
            if not re.fullmatch("[0-9a-f]{40}", str(info.get("sha1"))) or not _is_address(info.get("url")):
                raise ValueError("without an address and a SHA-1")
        except ValueError as error:
            raise ValueError(f"{title} is not as expected: {error}") from error
        metadata = {key: _plain(value) for key, value in _metadata(info).items()}
        licence, author = metadata.get("LicenseShortName", ""), metadata.get("Artist", "")
        licence_url = _address(metadata.get("LicenseUrl", ""))
        free = FREE.fullmatch(licence)
        if not free or metadata.get("NonFree", "") not in ("", "false"):
            raise ValueError(f"{title} is left out: its licence is {licence or 'not given'}")
        if not free["open"] and not (author and licence_url):
            raise ValueError(f"{title} is left out: {licence} asks for an author and a licence URL, which it lacks")
        return Panorama(
            id=page_id,
            image=f"{_slug(title)}_{page_id}.jpg",
            title=title,
            author=author,
            licence=licence,
            licence_url=licence_url,
            page=_address(info.get("descriptionurl")),
            url=info["url"],
            size=size,
            checksum=f"sha1:{info['sha1']}",
            caption=caption(title, metadata.get("ImageDescription", "")),
        )


def caption(title: str, description: str) -> str:
    """Caption of a file: the beginning of its description without words for its format, or of its title if nothing is left.

    Of a title, the ending and words with digits, such as numbers of cameras, are left out.

    >>> caption("Ely 360.jpg", "360° panorama of the nave of Ely Cathedral, 2016.")
    'the nave of Ely Cathedral, 2016'
    >>> caption("Cloister_of_Moissac_DSC0123_(360 panorama).jpg", "A 360 panorama")
    'Cloister of Moissac'
    """
    words = without_format(title.rsplit(".", 1)[0].replace("_", " ")).split()
    of_title = " ".join(word for word in words if not re.search(r"\d", word))
    for text in (shortened(without_format(description[:MAX_DESCRIPTION])), of_title):
        if re.search(r"[^\W\d_]", text):
            return text
    return "a place"


def _slug(title: str) -> str:
    """The letters and digits of a title that every file system can hold."""
    ascii_text = unicodedata.normalize("NFKD", title.rsplit(".", 1)[0]).encode("ascii", "ignore").decode()
    return "_".join(re.findall("[A-Za-z0-9]+", ascii_text))[:60].strip("_").lower() or "commons"


class _Text(HTMLParser):
    """Collects the text of HTML, without style sheets and programs."""

    def __init__(self):
        super().__init__()
        self.parts, self._hidden = [], 0

    def handle_starttag(self, tag, attrs):
        self._hidden += tag in ("style", "script")
        self.parts.append(" " if tag in ("br", "p", "div", "li", "td", "tr") else "")

    def handle_endtag(self, tag):
        self._hidden -= bool(self._hidden) and tag in ("style", "script")

    def handle_data(self, data):
        self.parts.append("" if self._hidden else data)


def _plain(html: str) -> str:
    """The text of HTML on one line of printable characters."""
    parser = _Text()
    parser.feed(html)
    parser.close()
    text = " ".join("".join(parser.parts).split())
    return re.sub(r"^English:\s*", "", "".join(char for char in text if char.isprintable()))


def _read_answer(body: bytes) -> dict:
    answer = json_object(body)
    if not isinstance(error := answer.get("error"), dict | None):
        raise ValueError("expected an error that is an object")
    if error:
        sentence = f"{error.get('code')}: {' '.join(str(error.get('info')).split())}"
        if error.get("code") in BUSY:
            raise Busy(sentence)
        raise RuntimeError(f"the API refuses the request ({sentence[:300]})")
    if not all(isinstance(answer.get(key, {}), dict) for key in ("query", "continue")):
        raise ValueError("expected a query that is an object")
    return answer


def _objects(parent: dict, key: str) -> list[dict]:
    values = parent.get(key, [])
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _number(parent: dict, key: str) -> int:
    if not isinstance(value := parent.get(key), int) or value < 1:
        raise ValueError(f"expected a {key}, found {value!r}")
    return value


def _metadata(info: dict) -> dict[str, str]:
    found = info.get("extmetadata")
    entries = found.items() if isinstance(found, dict) else ()
    return {key: str(entry.get("value", "")) for key, entry in entries if isinstance(entry, dict)}


def _is_address(value: object) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"https?://[\x21-\x7e]{1,2000}", value))


def _address(value: object) -> str:
    """An address as it is, or none."""
    return value if _is_address(value) else ""

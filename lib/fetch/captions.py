"""Captions without the words that name the format, which a format cue adds: "360 panorama", "equirectangular", ..."""

import re

_NAMES = {"hdr", "hdri", "panorama", "photosphere", "backplate"}
FORMAT_WORDS = {"panoramic", "equirectangular", "spherical", *_NAMES, *(f"{name}s" for name in _NAMES)}
MAX_LENGTH = 200  # characters; the 75 tokens that CLIP reads are about 300
_KIND = r"(?:views?|images?|photo(?:graph)?s?|pictures?|projections?|shots?)"
_WORD = "|".join(sorted(FORMAT_WORDS, reverse=True))
_TURN = r"360\s*(?:[°º]?\s*[x×]\s*180\s*[°º]?(?:[\s-]*degrees?)?|[°º](?:[\s-]*degrees?)?|[\s-]*degrees?)"
# Of numbers, 360 alone names a format only before such a word: rooms have numbers too.
_FORMAT = rf"(?<!\w)(?:{_TURN}|360(?=[\s-]*(?:{_WORD}|{_KIND})\b)|{_WORD})(?![\w°º])"
_PHRASE = rf"(?:(?:an?|the|full|interactive)\s+)*(?:{_FORMAT}[\s-]*(?:vr\b\s*)?)+(?:{_KIND}\b\s*)?"
_BEFORE_CONTENT = r"(?:(?:of|from|showing|taken|in|inside|at)\s+)*"
# A beginning such as "A full 360° panoramic view of", and the same words elsewhere.
_LEAD = re.compile(rf"^\W*{_PHRASE}{_BEFORE_CONTENT}", re.IGNORECASE)
_WITHIN = re.compile(rf"(?:\b(?:as|in|with)\s+)?\b{_PHRASE}", re.IGNORECASE)
_EMPTY_BRACKETS = re.compile(r"[(\[{][\s,;:-]*[)\]}]")


def without_format(text: str) -> str:
    """A text on one line without phrases that name the format; empty if nothing else is left.

    >>> without_format("A full 360° panoramic view of the nave of Ely Cathedral")
    'the nave of Ely Cathedral'
    >>> without_format("Harbour at night (360x180 degree panorama), equirectangular projection")
    'Harbour at night'
    """
    text, led = " ".join(text.split()), False
    while lead := _LEAD.match(text):
        text, led = text[lead.end() :], True
    text = _EMPTY_BRACKETS.sub(" ", _WITHIN.sub(" ", text))
    if led:
        text = re.sub(rf"^\W*{_BEFORE_CONTENT}", "", text, flags=re.IGNORECASE)
    text = re.sub(r"\s+([,;:.!?])", r"\1", " ".join(text.split()))
    return re.sub(r"[,;:](?=[,;:.])", "", text).strip(" ,;:.-–—_")


def shortened(text: str, length: int = MAX_LENGTH) -> str:
    """The sentences at the beginning of a text that have at most ``length`` characters, or as many words of the first.

    >>> shortened("A quiet square. Taken with a tripod.", 20), shortened("A quiet square with trees", 15)
    ('A quiet square', 'A quiet square')
    """
    if len(text) <= length:
        return text
    head = text[: length + 1]
    ends = [match.start() for match in re.finditer(r"[.!?](?=\s+\S)", head)]
    return (head[: ends[-1]] if ends else head.rsplit(" ", 1)[0][:length]).strip(" ,;:-–—")

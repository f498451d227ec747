"""Image files: which files of a folder are images, and their pixels as 8-bit RGB."""

import io
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image
from torch import Tensor

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}
# Determined by content, not by suffix. PIL would read others too, some with the help of other programs.
FORMATS = ("JPEG", "PNG", "WEBP")
EXPECTED = "expected a JPEG, PNG or WebP file"
STRIP_HEIGHT = 256  # rows converted at once
MAX_LENGTH = 300  # characters of a name or a reason in an error message
UPRIGHT = {  # the operation that turns an image upright, by its EXIF orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# A panorama 16,000 pixels wide is no attack. Twice the limit that triggers this warning stays an error.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class DataError(ValueError):
    """A problem with a file of an image set and the advice how to solve it, as one sentence and as its parts."""

    def __init__(self, file: Path, problem: str, advice: str):
        problem = printable(problem)
        super().__init__(f"{printable(file)} {problem}: {advice}")
        self.file, self.problem, self.advice = file, problem, advice


def printable(text: object) -> str:
    """A text as one printable line: other characters are escaped, the middle of a long text is left out.

    >>> printable("a\\nb")
    'a\\\\nb'
    """
    text = str(text)
    if len(text) > MAX_LENGTH:
        text = f"{text[: MAX_LENGTH // 2]} … {text[-MAX_LENGTH // 2 :]}"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def image_names(images: Path, suffix: str = "") -> list[str]:
    """The names of all images in a folder that end in ``suffix`` exactly, sorted.

    Hidden files, which macOS adds to each, are left out.
    """
    names = (file.name for file in images.glob("*") if file.suffix.lower() in SUFFIXES)
    return sorted(name for name in names if name.endswith(suffix) and not name.startswith("."))


def require_regular_file(path: Path, advice: str) -> None:
    """Raise DataError unless ``path`` is a regular file or a link to one: opening a named pipe would wait forever."""
    if not path.is_file():
        raise DataError(path, "is not a regular file" if path.exists() else "does not exist", advice)


def read_panorama(path: Path) -> Tensor:
    """Decode a panorama as ``read_image`` does: uint8 [3, H, 2H], channels last in memory.

    Raises DataError for a file that cannot be decoded, or is not twice as wide as high. Needs little more memory than
    the image in PIL (4 bytes per pixel) and the result (3 bytes per pixel).
    """
    require_regular_file(path, EXPECTED)
    with _decoding(path):
        return _panorama(path, _load(path))


def decode_panorama(content: bytes, file: Path) -> Tensor:
    """As ``read_panorama``, of the content of a file; ``file`` names it in errors."""
    with _decoding(file):
        return _panorama(file, _load(io.BytesIO(content)))


def _panorama(file: Path, image: Image.Image) -> Tensor:
    width, height = image.size
    if width != 2 * height:
        advice = "expected an equirectangular panorama, twice as wide as high"
        raise DataError(file, f"is {width} x {height}", advice)
    pixels = np.empty((height, width, 3), np.uint8)
    # Strip by strip, because each conversion makes copies of what it converts.
    for top in range(0, height, STRIP_HEIGHT):
        bottom = min(top + STRIP_HEIGHT, height)
        pixels[top:bottom] = np.asarray(_as_rgb(image.crop((0, top, width, bottom))))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def read_image(path: Path) -> Image.Image:
    """Decode an image as 8-bit RGB, upright according to its EXIF data, on black where it is transparent.

    Raises DataError for a file that is not a regular one, has too many pixels or cannot be decoded.
    """
    require_regular_file(path, EXPECTED)
    with _decoding(path):
        return _as_rgb(_load(path))


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    """Raise whatever goes wrong with ``path`` as DataError."""
    try:
        yield
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(path, f"has too many pixels ({str(error).rstrip('.')})", "make it smaller") from error
    except Exception as error:  # PIL raises errors of many kinds for damaged files
        reason = str(error).replace(f" {str(path)!r}", "")
        raise DataError(
            path, f"cannot be read as an image ({reason})", "expected a whole JPEG, PNG or WebP file"
        ) from error


def _load(path: Path | io.BytesIO) -> Image.Image:
    """The image in its own mode, upright. ImageOps.exif_transpose would also rewrite the EXIF data, and fail on odd entries."""
    with Image.open(path, formats=FORMATS) as file:
        file.load()
        operation = UPRIGHT.get(file.getexif().get(ExifTags.Base.Orientation))
    return file if operation is None else file.transpose(operation)


def _as_rgb(image: Image.Image) -> Image.Image:
    """An image as 8-bit RGB; each pixel depends on that pixel alone."""
    if image.mode.startswith("I"):  # 16-bit grey, which convert would clip
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return image if image.mode == "RGB" else image.convert("RGB")


def read_ahead(read: Callable, items: Iterable, count: int) -> Iterator:
    """``read(item)`` of every item, in order, by threads that work at most ``count`` items ahead."""
    threads, pending = ThreadPoolExecutor(os.cpu_count()), deque()  # more threads would only hold more memory
    try:
        for item in items:
            pending.append(threads.submit(read, item))
            if len(pending) > count:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        threads.shutdown(cancel_futures=True)

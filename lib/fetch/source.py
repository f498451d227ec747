"""What every source of panoramas gives: descriptions of what it offers, and their images, checked and scaled down."""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from PIL import ExifTags, Image
from PIL.JpegImagePlugin import JpegImageFile

from clip360.data.images import UPRIGHT

MAX_HEIGHT = 16_384  # pixels of an image to decode


@dataclass(frozen=True)
class Panorama:
    """A panorama on the web: what its licence asks to be said, where its file is, and how to check that file.

    ``image`` is the file name in an image set, ``size`` the bytes of the original at ``url`` and ``checksum`` their digest as
    ALGORITHM:HEXADECIMAL.
    """

    id: str
    image: str
    title: str
    author: str
    licence: str
    licence_url: str
    page: str
    url: str
    size: int
    checksum: str
    caption: str


class Source(Protocol):
    """A site that offers panoramas; ``name`` and ``credit`` are for people."""

    name: str
    credit: str

    def ids(self) -> list[str]:
        """The ids of all panoramas on offer."""
        ...

    def describe(self, ids: Iterable[str]) -> Iterator[Panorama | ValueError]:
        """For each id in order its panorama, or the reason why there is none to use; asks the site as late as it can."""
        ...


def fetch_image(get: Callable, panorama: Panorama, height: int) -> Image.Image:
    """The image of a panorama, uint8 RGB, scaled down to 2 ``height`` x ``height``.

    Raises ValueError if it is gone, is not 2:1 within a pixel, or is too small or too high, and RuntimeError as ``get`` does.
    """
    algorithm, digest = panorama.checksum.split(":")

    def check(body: bytes) -> bytes:
        found = hashlib.new(algorithm, body).hexdigest()
        if (len(body), found) != (panorama.size, digest):
            name = algorithm.upper()
            raise ValueError(
                f"{panorama.image}: expected {panorama.size} bytes with {name} {digest},"
                f" found {len(body)} bytes with {name} {found}"
            )
        return body

    try:
        return scaled_down(get(panorama.url, check), height)
    except FileNotFoundError as error:
        raise ValueError(f"{panorama.image} is left out: {error}") from error
    except (ValueError, SyntaxError, OSError) as error:  # SyntaxError is what PIL raises for other formats
        raise ValueError(f"{panorama.image} is not as expected: {error}") from error


def scaled_down(jpeg: bytes, height: int) -> Image.Image:
    """A JPEG, upright, as RGB of 2 ``height`` x ``height``; ValueError if it is not 2:1 within a pixel, too small or too high."""
    # Image.open would refuse the largest of these images, 24k wide, as an attack.
    image = JpegImageFile(io.BytesIO(jpeg))
    require_shape(image.width, image.height, height)
    operation = UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation))
    # Decode no larger than the filter needs, because all pixels can take a gigabyte.
    _, box = image.draft("RGB", (8 * height, 4 * height))
    image = image.convert("RGB")
    if operation is not None:
        image, box = image.transpose(operation), None
        require_shape(image.width, image.height, height)
    return image.resize((2 * height, height), Image.Resampling.LANCZOS, box)


def require_shape(width: int, found: int, height: int) -> None:
    """Raise ValueError unless ``width`` x ``found`` is 2:1 within a pixel and ``height`` to 16,384 pixels high."""
    if abs(width - 2 * found) > 1 or not height <= found <= MAX_HEIGHT:
        raise ValueError(f"{width} x {found}, not twice as wide as high and {height} to {MAX_HEIGHT} high")

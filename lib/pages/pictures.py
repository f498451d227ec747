"""The pictures of a page: thumbnails, and panoramas as scripts that hand them over.

A page that lies on disk may show a picture file but not read it, which a viewer must. So each panorama is a small script,
which the page loads when a panorama is opened: it holds a JPEG for the viewer, and the pixels around the seam as they are.
"""

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import Tensor
from tqdm import tqdm

from clip360.data.image_set import read_ahead
from clip360.pages.html import script_json, write_text

THUMBNAIL = (256, 128)  # pixels
MAX_INLINE = 300  # thumbnails that the page holds itself; more lie beside it
# The widest picture of a viewer, in pixels: a report of 10,000 panoramas is then about 1 GB.
WIDTH, WIDTH_OF_MANY, MANY = 2048, 1024, 1000
SEAM_COLUMNS = 48  # on each side of the seam
READ_AHEAD = 16
ID_LENGTH = 16  # hexadecimal digits of the SHA-256 of a panorama's pixels


@dataclass(frozen=True)
class Pictures:
    """Where the pictures of a page lie.

    panoramas    folder of the scripts, relative to the page: ``ID.js``
    thumbnails   folder of ``ID.jpg``, relative to the page; or by id the data: URLs, which the page holds
    """

    panoramas: str
    thumbnails: str | Mapping[str, str]


def picture_id(sha256: str) -> str:
    """The name of a panorama's pictures, from the SHA-256 of its pixels: a changed panorama has other pictures."""
    return sha256[:ID_LENGTH]


def write_pictures(page: Path, readers: Mapping[str, Callable[[], Tensor]]) -> Pictures:
    """Write the pictures of panoramas beside ``page`` into ``NAME_files``.

    ``readers`` maps the id of a panorama to what returns it, uint8 [3, H, 2H]. Pictures that are there already are kept, and
    those of no panorama are removed. Raises what a reader raises, such as DataError.
    """
    files = Path(f"{page.with_suffix('')}_files")
    width = WIDTH if len(readers) <= MANY else WIDTH_OF_MANY
    panoramas, thumbnails = files / f"panoramas_{width}", files / "thumbnails"
    for folder in (panoramas, thumbnails):
        folder.mkdir(parents=True, exist_ok=True)

    def is_written(picture: str) -> bool:
        return (panoramas / f"{picture}.js").is_file() and (thumbnails / f"{picture}.jpg").is_file()

    missing = [picture for picture in readers if not is_written(picture)]
    progress = tqdm(missing, desc=f"{page.name}: pictures", disable=not missing)
    images = read_ahead(lambda picture: readers[picture](), missing, READ_AHEAD)
    for picture, panorama in zip(progress, images, strict=True):
        image = Image.fromarray(panorama.permute(1, 2, 0).contiguous().numpy())
        small = image.resize(THUMBNAIL, Image.Resampling.LANCZOS, reducing_gap=2)
        write_text(panoramas / f"{picture}.js", panorama_script(picture, image, width=width))
        (thumbnails / f"{picture}.jpg").write_bytes(_jpeg(small, quality=80))
    _remove_others(files, set(readers), {panoramas, thumbnails})
    inline = len(readers) <= MAX_INLINE
    return Pictures(
        f"{files.name}/{panoramas.name}",
        thumbnail_urls(thumbnails, readers) if inline else f"{files.name}/{thumbnails.name}",
    )


def panorama_script(picture: str, image: Image.Image, *, width: int = WIDTH) -> str:
    """The script that hands a panorama over to the page that loads it: as JPEG at most ``width`` wide, and its seam."""
    smaller = min(1.0, width / image.width)
    size = (round(image.width * smaller), round(image.height * smaller))
    shown = image if smaller == 1 else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
    urls = {"panorama": data_url(_jpeg(shown, quality=85)), "seam": data_url(_jpeg(seam_strip(image), quality=92))}
    return f"clip360.receivePicture({script_json(picture)},{script_json(urls)});\n"


def seam_strip(image: Image.Image) -> Image.Image:
    """The columns around the seam of a panorama, the last ones left of the first ones: 2 ``SEAM_COLUMNS`` wide at most."""
    side = min(SEAM_COLUMNS, image.width // 2)
    strip = Image.new("RGB", (2 * side, image.height))
    strip.paste(image.crop((image.width - side, 0, image.width, image.height)), (0, 0))
    strip.paste(image.crop((0, 0, side, image.height)), (side, 0))
    return strip


def thumbnail_urls(folder: Path, ids: Iterable[str]) -> dict[str, str]:
    """The thumbnails of a folder by id, as data: URLs."""
    return {picture: data_url((folder / f"{picture}.jpg").read_bytes()) for picture in ids}


def data_url(jpeg: bytes) -> str:
    """A JPEG file as a data: URL."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _jpeg(image: Image.Image, *, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _remove_others(files: Path, ids: set[str], folders: set[Path]) -> None:
    """Remove pictures that earlier runs wrote and this page does not show; files of other names are left."""
    for pattern in ("panoramas_*/*.js", "thumbnails/*.jpg"):
        for path in files.glob(pattern):
            is_ours = len(path.stem) == ID_LENGTH and set(path.stem) <= set("0123456789abcdef")
            if is_ours and (path.stem not in ids or path.parent not in folders):
                path.unlink()
    for folder in files.glob("panoramas_*"):
        if folder not in folders and not any(folder.iterdir()):
            folder.rmdir()

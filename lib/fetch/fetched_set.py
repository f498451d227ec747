"""An image set that is fetched piece by piece, and whose captions belong to whoever edits them."""

from functools import partial
from pathlib import Path

import pandas as pd
from PIL import Image

from clip360.data.captions import read_captions
from clip360.data.image_set import JPEG
from clip360.data.images import DataError, read_image
from clip360.fetch.attribution import attribution_row, read_attribution, replace_file, write_attribution
from clip360.fetch.source import Panorama


class FetchedSet:
    """The image set in ``folder``. Each image is stored, then recorded in attribution.csv, then captioned.

    captions.csv is read before it is written, and no text in it is changed: only rows of new panoramas are added. A panorama
    whose image and row were both removed stays recorded, and is not fetched again. Raises DataError where captions.csv names an
    image that was not fetched.
    """

    def __init__(self, folder: Path):
        self.folder, self.images = folder, folder / "images"
        self.rows = read_attribution(folder)
        for name in self.captions():
            if name not in self.rows:
                problem = f"names {name}, which attribution.csv does not record"
                advice = "restore attribution.csv, or put panoramas of your own into another image set"
                raise DataError(folder / "captions.csv", problem, advice)

    def captions(self) -> dict[str, dict[str, str]]:
        """The rows of captions.csv by image."""
        path = self.folder / "captions.csv"
        if not path.exists():
            return {}
        return {row["image"]: row for row in read_captions(path).to_dict("records")}

    def removed(self) -> list[str]:
        """Images that somebody removed together with their captions."""
        captions = self.captions()
        return [name for name in self.rows if name not in captions and not (self.images / name).exists()]

    def kept(self) -> list[str]:
        """Images of the set, whether or not they are there yet."""
        return sorted(self.rows.keys() - set(self.removed()))

    def incomplete(self, height: int) -> list[str]:
        """Images of the set that are missing, damaged or not ``height`` pixels high."""
        return [name for name in self.kept() if _size(self.images / name) != (2 * height, height)]

    def edited(self) -> list[str]:
        """Images whose caption or cue is not the one that they came with."""
        fetched = {name: (row["fetched_caption"], row["fetched_cue"]) for name, row in self.rows.items()}
        return sorted(
            name for name, row in self.captions().items() if (row["caption"], row.get("cue")) != fetched[name]
        )

    def add(self, panorama: Panorama, image: Image.Image, *, source: str, cue: str) -> None:
        """Store, record and caption a panorama, or store again the image of one that is recorded."""
        self.images.mkdir(parents=True, exist_ok=True)
        replace_file(self.images / panorama.image, partial(image.save, format="JPEG", **JPEG))
        row, before = attribution_row(panorama, source, cue), self.rows.get(panorama.image, {})
        self.rows[panorama.image] = row | {key: before[key] for key in ("fetched_caption", "fetched_cue") if before}
        write_attribution(self.folder, self.rows)
        self.write_missing_captions()

    def write_missing_captions(self) -> None:
        """Add the rows of panoramas that have none yet; rows are sorted by image, the others stay as they are."""
        captions = self.captions()
        columns = list(next(iter(captions.values()), ("image", "caption", "cue")))  # a table without cues stays one
        missing = [name for name in self.kept() if name not in captions]
        if not missing:
            return
        for name in missing:
            row = self.rows[name]
            captions[name] = {"image": name, "caption": row["fetched_caption"], "cue": row["fetched_cue"]}
        table = pd.DataFrame([captions[name] for name in sorted(captions)], columns=columns)
        path = self.folder / "captions.csv"
        replace_file(path, partial(table.to_csv, index=False, lineterminator="\n"))


def _size(path: Path) -> tuple[int, int] | None:
    try:
        return read_image(path).size
    except DataError:
        return None

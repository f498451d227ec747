"""A report of scored panoramas: one HTML file with thumbnails of the extremes."""

import base64
import io
import os
from pathlib import Path

import jinja2
import pandas as pd
from PIL import Image

from clip360.data.image_set import ImageSet
from clip360.scoring.view_protocols import PROTOCOLS

IMAGES_PER_SECTION = 12
MEASURES = ["score", "robust", "spread", "worst", "seam"]
THUMBNAIL = (512, 256)  # pixels
TEMPLATE = Path(__file__).with_suffix(".html")


def write_report(
    path: Path, scores: pd.DataFrame, image_set: ImageSet, *, model: str, view: str, n_shifts: int
) -> None:
    """Write the report of a table of ``score_panoramas`` to ``path``, complete or not at all.

    File names and captions are escaped: nothing in them acts as HTML.
    """
    sections = {
        "Highest robust score": scores.nlargest(IMAGES_PER_SECTION, "robust"),
        "Lowest robust score": scores.nsmallest(IMAGES_PER_SECTION, "robust"),
        "Largest spread over shifts": scores.nlargest(IMAGES_PER_SECTION, "spread"),
        "Most visible seam": scores.nlargest(IMAGES_PER_SECTION, "seam"),
    }
    template = jinja2.Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    text = template.render(
        model=model,
        view=view.replace("_", " "),
        n_shifts=n_shifts,
        n_images=len(scores),
        summary=scores[MEASURES + [name for name in PROTOCOLS if name in scores]].describe().drop(index="count"),
        sections={
            title: [_with_thumbnail(row, image_set) for row in rows.to_dict("records")]
            for title, rows in sections.items()
        },
    )
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)


def _with_thumbnail(row: dict, image_set: ImageSet) -> dict:
    """A row of the table with its image as a base64 JPEG."""
    image = Image.fromarray(image_set.read(row["image"]).permute(1, 2, 0).numpy())
    file = io.BytesIO()
    image.resize(THUMBNAIL, Image.Resampling.LANCZOS).save(file, "JPEG", quality=80)
    return row | {"thumbnail": base64.b64encode(file.getvalue()).decode()}

"""A report of scored panoramas, as one HTML file with thumbnails of those worth a look."""

import base64
import io
import os
from pathlib import Path

import jinja2
import pandas as pd
from PIL import Image

from clip360.data.image_set import ImageSet, read_panorama

SHOWN = 12  # pictures in each section
NUMBERS = ["score", "robust", "spread", "worst", "seam"]
THUMBNAIL = (512, 256)
TEMPLATE = Path(__file__).with_suffix(".html")


def write_report(path: Path, scores: pd.DataFrame, pictures: ImageSet, *, model: str, view: str, shifts: int) -> None:
    """Write the report of a table of scores, as by ``score.score_images``; what it says of pictures is escaped."""
    sections = {
        "Highest robust score": scores.nlargest(SHOWN, "robust"),
        "Lowest robust score": scores.nsmallest(SHOWN, "robust"),
        "Largest spread over shifts": scores.nlargest(SHOWN, "spread"),
        "Most visible seam": scores.nlargest(SHOWN, "seam"),
    }
    template = jinja2.Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    text = template.render(
        model=model,
        view=view.replace("_", " "),
        shifts=shifts,
        n=len(scores),
        summary=scores[NUMBERS].describe().drop(index="count"),
        sections={
            title: [_shown(row, pictures) for row in rows.to_dict("records")] for title, rows in sections.items()
        },
    )
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8", newline="\n")
    os.replace(partial, path)


def _shown(row: dict, pictures: ImageSet) -> dict:
    picture = Image.fromarray(read_panorama(pictures.images / row["image"]).permute(1, 2, 0).numpy())
    file = io.BytesIO()
    picture.resize(THUMBNAIL, Image.Resampling.LANCZOS).save(file, "JPEG", quality=80)
    return row | {"thumbnail": base64.b64encode(file.getvalue()).decode()}

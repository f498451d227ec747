"""Import panoramas of Poly Haven (CC0) as an image set.

    python -m pipeline.import_polyhaven FOLDER [--count N]

FOLDER becomes an image set of the first N panoramas by id (all, without --count), with a table attribution.csv of where
each comes from. An import that was stopped goes on when it is called again.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from clip360.data.image_set import JPEG, DataError, image_names, read_image
from clip360.data.poly_haven import API, caption, connect, fetch_panorama, list_assets
from pipeline.error_messages import report

HEIGHT = 512
CUE = "360 photo"
ATTRIBUTION = ["image", "id", "name", "authors", "licence", "url", "md5"]


def import_panoramas(
    folder: Path, count: int | None = None, *, height: int = HEIGHT, api: str = API, get: Callable | None = None
) -> list[str]:
    """Make ``folder`` an image set of the first ``count`` panoramas; returns an error message for each that it leaves out.

    ``get`` comes from ``clip360.data.poly_haven.connect``. Each image is stored, then recorded in attribution.csv, then captioned;
    recorded images are not fetched again. Raises ValueError if the folder holds other images.
    """
    get = get or connect()
    assets = dict(list(list_assets(get, api).items())[:count])
    _refuse_other_images(folder, assets)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = _recorded(folder, assets, height)
    _write_tables(folder, assets, rows)
    left_out = []
    missing = [asset for asset in assets if asset not in rows]
    for asset in tqdm(missing, desc="Powered by Poly Haven", initial=len(rows), total=len(assets)):
        try:
            image, url, md5 = fetch_panorama(get, api, asset, height)
        except ValueError as error:
            left_out.append(str(error))
            continue
        name, about = f"{asset}.jpg", assets[asset]
        _replace(folder / "images" / name, partial(image.save, format="JPEG", **JPEG))
        credits = (" ".join(text.split()) for text in (about["name"], ", ".join(about.get("authors") or ())))
        values = (name, asset, *credits, "CC0 1.0", url, md5)
        rows[asset] = dict(zip(ATTRIBUTION, values, strict=True))
        _write_tables(folder, assets, rows)
    return left_out


def _refuse_other_images(folder: Path, assets: Iterable[str]) -> None:
    chosen = {f"{asset}.jpg" for asset in assets}
    others = set(image_names(folder / "images")) - chosen
    if others:
        raise ValueError(
            f"{folder / 'images'} holds {min(others)}, which is not among the {len(chosen)} panoramas to import:"
            " choose a new folder or a larger count, or remove the image"
        )


def _recorded(folder: Path, assets: Iterable[str], height: int) -> dict[str, dict]:
    """The rows of attribution.csv by asset, where the image exists and has this height."""
    path = folder / "attribution.csv"
    if not path.is_file():
        return {}
    table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    if list(table.columns) != ATTRIBUTION:
        raise ValueError(f"{path} has the columns {', '.join(table)}: expected {', '.join(ATTRIBUTION)}")
    rows = {row["id"]: row for row in table.to_dict("records") if row["image"] == f"{row['id']}.jpg"}
    sizes = {asset: _size(folder / "images" / f"{asset}.jpg") for asset in assets if asset in rows}
    return {asset: rows[asset] for asset, size in sizes.items() if size == (2 * height, height)}


def _size(path: Path) -> tuple[int, int] | None:
    try:
        return read_image(path).size
    except DataError:
        return None


def _write_tables(folder: Path, assets: dict[str, dict], rows: dict[str, dict]) -> None:
    record = pd.DataFrame([rows[asset] for asset in assets if asset in rows], columns=ATTRIBUTION)
    about = [assets[asset] for asset in record.id]
    captions = [caption(a["name"], a.get("categories") or (), a.get("tags") or ()) for a in about]
    table = pd.DataFrame({"image": record.image, "caption": captions, "cue": CUE})
    _replace(folder / "attribution.csv", partial(record.to_csv, index=False, lineterminator="\n"))
    _replace(folder / "captions.csv", partial(table.to_csv, index=False, lineterminator="\n"))


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under a temporary name, then move it into place."""
    partial_path = path.with_name(path.name + ".partial")
    write(partial_path)
    os.replace(partial_path, path)


def positive(text: str) -> int:
    if (value := int(text)) < 1:
        raise ValueError
    return value


def main(*arguments: str, api: str = API) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.import_polyhaven", description="Import panoramas of Poly Haven (CC0) as an image set."
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the image set to write or to complete")
    parser.add_argument("--count", metavar="N", type=positive, help="how many panoramas, by id in alphabetical order")
    options = parser.parse_args(arguments)
    left_out = import_panoramas(options.folder, options.count, api=api)
    for message in left_out:
        print(message, file=sys.stderr)
    print(f"panoramas left out of {options.folder}: {len(left_out)}; powered by Poly Haven")


if __name__ == "__main__":
    report(main, *sys.argv[1:])

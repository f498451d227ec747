"""Read what the pipeline has measured, one file for each model or run."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd


def read_measurements(
    folder: str | Path, names: Iterable[str], image_sets: Iterable[str] | None = None
) -> pd.DataFrame:
    """Rows of FOLDER/NAME.parquet for every name, or of FOLDER/NAME__IMAGE_SET.parquet for every name and image set.

    ``names`` are models or fine-tuning runs. The table has one row for each observation, in the order of ``names`` and
    ``image_sets``. Raises FileNotFoundError if a file is missing, ValueError if ``names`` or ``image_sets`` is empty.
    """
    endings = [""] if image_sets is None else [f"__{image_set}" for image_set in image_sets]
    paths = [Path(folder, f"{name}{ending}.parquet") for name in names for ending in endings]
    if not paths:
        raise ValueError(
            f"no measurements of {folder} are named: expected at least one model or run, and one image set"
        )
    return pd.concat([_read(pd.read_parquet, path) for path in paths], ignore_index=True)


def _read(read_table, path: Path) -> pd.DataFrame:
    try:
        return read_table(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist: run the stage that writes it") from error

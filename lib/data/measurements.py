"""Read what the pipeline has measured, one file for each model, run or replicate."""

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


def read_replicates(folder: str | Path, replicates: Iterable[str], table: str) -> list[pd.DataFrame]:
    """The result table FOLDER/REPLICATE/TABLE.csv of every replicate, each with a column ``replicate``; none, no table.

    ``table`` names the notebook and the table, as in "01_textual_probe/summary". Raises FileNotFoundError if one is missing.
    """
    paths = {replicate: Path(folder, replicate, f"{table}.csv") for replicate in replicates}
    return [_read(pd.read_csv, path).assign(replicate=replicate) for replicate, path in paths.items()]


def _read(read_table, path: Path) -> pd.DataFrame:
    try:
        return read_table(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist: run the stage that writes it") from error

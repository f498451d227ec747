"""Where scores are kept."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd


def write_scores(parts: Sequence[pd.DataFrame], params: dict, kind: str, name: str) -> None:
    """Write tables of scores as one, results/PROFILE/scores/KIND/NAME.parquet."""
    path = Path("results", params["profile"], "scores", kind, f"{name}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(parts, ignore_index=True).to_parquet(path, index=False)

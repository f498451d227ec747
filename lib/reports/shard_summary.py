"""A summary of the scores of all shards, in one pass over their files: memory does not grow with the panoramas.

The exception is the search for equal pixels: eight bytes for each panorama.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from clip360.reports.shards import read_columns, shard_metadata
from clip360.stats.score_summary import Moments

NO_SCORES = ("image", "caption", "sha256", "by_group", "worst_yaw")


def shard_means(paths: Sequence[Path], *, alpha: float) -> dict[str, dict[str, float]]:
    """Mean, low and high of every column of scores, as ``stats.score_summary.metric_means`` gives them for many panoramas."""
    moments: dict[str, Moments] = {}
    columns = [name for name in pq.read_schema(paths[0]).names if name not in NO_SCORES]
    for batch in read_columns(paths, columns):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            part = Moments.of(column.to_numpy(zero_copy_only=False))
            moments[name] = moments.get(name, Moments()) + part
    return {name: found.interval(alpha) for name, found in moments.items()}


def n_zeros(paths: Sequence[Path], columns: Sequence[str]) -> dict[str, int]:
    """The number of panoramas with 0 in each of the columns."""
    counts = dict.fromkeys(columns, 0)
    for batch in read_columns(paths, list(columns)):
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            counts[name] += int((column.to_numpy(zero_copy_only=False) == 0).sum())
    return counts


def n_panoramas(paths: Sequence[Path]) -> int:
    """The number of panoramas."""
    return sum(pq.read_metadata(path).num_rows for path in paths)


def n_truncated(paths: Sequence[Path]) -> int:
    """The number of texts that the model truncated."""
    return sum(shard_metadata(path)["n_truncated"] for path in paths)


def n_duplicates(paths: Sequence[Path]) -> int:
    """The number of panoramas that have the pixels of another one before them, by the first 64 bits of their SHA-256."""
    parts = [
        np.array([int(digest[:16], 16) for digest in batch.column(0).to_pylist()], dtype=np.uint64)
        for batch in read_columns(paths, ["sha256"])
    ]
    digests = np.sort(np.concatenate(parts))
    return int((digests[1:] == digests[:-1]).sum())

"""Shards of a set of panoramas: parts that are scored on their own, and the Parquet file of each.

OUT/shards/NAME.parquet   one row for each panorama; its metadata hold what the scores depend on
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clip360.data.image_set import ImageSet, file_state
from clip360.reports.panorama_sources import TAR, open_panoramas
from clip360.reports.report_files import SHARDS

METADATA = b"clip360"


@dataclass(frozen=True)
class Shard:
    """A part of a set: a tar file, which is opened where it is scored, or some rows of an open set."""

    name: str
    source: Path | ImageSet

    def open(self, cue: str | None) -> ImageSet:
        """Its panoramas, with the format cue ``cue`` where there is one; DataError where they cannot be read."""
        image_set = open_panoramas(self.source) if isinstance(self.source, Path) else self.source
        return replace(image_set, table=image_set.table.assign(cue=cue)) if cue else image_set

    def state(self) -> str:
        """A digest that changes with the files and texts of its panoramas."""
        if isinstance(self.source, Path):
            state = [self.source.name, *file_state(self.source)]
        else:
            rows = zip(self.source.table.image, self.source.texts, strict=True)
            state = [[image, text, *self.source.state(image)] for image, text in rows]
        return hashlib.sha256(json.dumps(state).encode()).hexdigest()


def list_shards(path: str | Path, captions: str | Path | None, shard_size: int) -> list[Shard]:
    """The shards of the panoramas at ``path`` (see ``open_panoramas``): each tar file of a folder, or ``shard_size`` rows each.

    Of a folder of tar files only the names are read, of other forms all names and captions. Raises DataError where there are
    none.
    """
    path = Path(path)
    if shard_size < 1:
        raise ValueError(f"shard_size is {shard_size}: expected at least 1")
    tars = sorted(path.glob(f"*{TAR}")) if path.is_dir() and not Path(path, "captions.csv").exists() else []
    if tars and not captions:
        return [Shard(tar.stem, tar) for tar in tars]
    image_set = open_panoramas(path, captions)
    starts = range(0, len(image_set.table), shard_size)
    return [
        Shard(f"{start:09d}", replace(image_set, table=image_set.table[start : start + shard_size])) for start in starts
    ]


def shard_path(out: str | Path, shard: Shard) -> Path:
    """The Parquet file of a shard."""
    return Path(out, SHARDS, f"{shard.name}.parquet")


def write_shard(path: Path, records: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> None:
    """Write the records of a shard, complete or not at all: what a killed process leaves has another name."""
    table = pa.Table.from_pylist([{**record, "by_group": json.dumps(record["by_group"])} for record in records])
    table = table.replace_schema_metadata({METADATA: json.dumps(metadata)})
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    pq.write_table(table, temporary, compression="zstd")
    os.replace(temporary, path)


def shard_metadata(path: Path) -> dict[str, Any] | None:
    """The metadata with which ``write_shard`` wrote a file; None where there is no whole file of that kind."""
    try:
        return json.loads(pq.read_schema(path).metadata[METADATA])
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        return None


def is_finished(path: Path, shard: Shard, fingerprint: str) -> bool:
    """Does the file hold the scores of this shard as it is now, by this model and these protocols?"""
    found = shard_metadata(path)
    return bool(found) and found["fingerprint"] == fingerprint and found["state"] == shard.state()


def read_columns(paths: Sequence[Path], columns: Sequence[str], batch_size: int = 65_536) -> Iterator[pa.RecordBatch]:
    """Some columns of the rows of all shards, in batches."""
    for path in paths:
        yield from pq.ParquetFile(path).iter_batches(batch_size, columns=list(columns))

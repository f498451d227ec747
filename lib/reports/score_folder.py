"""The files of `clip360 score`: scores of an image set in a folder, continued where a run was stopped."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from clip360.data.image_set import ImageSet, printable
from clip360.geometry.seam_measures import MEASURES
from clip360.models.clip import Clip
from clip360.reports.embedding_cache import EmbeddingCache
from clip360.reports.panorama_scores import (
    protocols_of_run,
    require_options,
    score_records,
    score_table,
)
from clip360.reports.report_files import RECORDS, SCORES, read_scores
from clip360.reports.view_protocols import protocol_hash, short_hash, weights_sha256

STATE = "state"  # key of a record while a run is unfinished, see ``_state``
ROWS_AT_ONCE = 1000  # records in memory while files are written


def score_folder(
    clip: Clip,
    image_set: ImageSet,
    folder: str | Path,
    *,
    n_shifts: int = 8,
    batch_size: int = 64,
    protocols: Sequence[str] = (),
    weights: str | None = None,
    cache: EmbeddingCache | None = None,
    strict: bool = False,
) -> pd.DataFrame:
    """Score an image set into ``folder``/scores.csv and scores.jsonl; returns the table of ``score_panoramas``.

    A stopped run with the same model and protocols is continued: panoramas whose file and text are as they were keep their
    scores, and stderr reports how many. An image file counts by its size and its times of modification and of status change
    (mtime, ctime), in nanoseconds. Programs that copy files can restore mtime but not ctime, so a replaced image never passes
    for the old one; at worst, an image that was only touched is scored again.

    Panoramas with equal pixels are reported, or with ``strict`` raise ValueError. ``weights`` is the model's
    ``weights_sha256``, for callers that have computed it.
    """
    require_options(clip, n_shifts=n_shifts, batch_size=batch_size, protocols=protocols)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    fingerprint = scoring_fingerprint(clip, n_shifts, protocols, weights or weights_sha256(clip))
    partial = folder / f"scores.{fingerprint}.partial"
    duplicates = Duplicates(strict)
    scored = _resume(partial, image_set, duplicates)
    remaining = replace(image_set, table=image_set.table[~image_set.table.image.isin(scored)])
    options = {"n_shifts": n_shifts, "batch_size": batch_size, "protocols": protocols, "cache": cache}
    # Taken before any image is opened: one that changes meanwhile is scored again, should this run be stopped.
    states = iter([_state(remaining, *row) for row in zip(remaining.table.image, remaining.texts, strict=True)])
    with partial.open("a", encoding="utf-8", newline="\n") as file:
        for batch in score_records(clip, remaining, **options):
            for record in batch:
                duplicates.add(record)
                file.write(json.dumps(rounded(record) | {STATE: next(states)}) + "\n")
            file.flush()
    duplicates.report()
    _write_scores(folder, _in_order(partial, image_set.table.image))
    scores = read_scores(folder)
    for finished in folder.glob("scores.*.partial"):  # also of stopped runs whose model or protocols differ
        finished.unlink()
    return scores


class Duplicates:
    """Panoramas whose decoded pixels are those of an earlier one."""

    def __init__(self, strict: bool):
        self.strict, self.pairs, self._first = strict, [], {}

    def add(self, record: Mapping[str, Any]) -> None:
        """Take note of a scored panorama; with ``strict``, raises ValueError for the first duplicate."""
        first = self._first.setdefault(record["sha256"], record["image"])
        if first != record["image"]:
            self.pairs.append((record["image"], first))
            if self.strict:
                raise ValueError(self._sentence())

    def report(self) -> None:
        """Print one sentence on stderr if there are duplicates."""
        if self.pairs:
            print(self._sentence(), file=sys.stderr)

    def _sentence(self) -> str:
        image, first = map(printable, self.pairs[0])
        return f"panoramas with the pixels of another: {len(self.pairs)}, such as {image}, which equals {first}"


def scoring_fingerprint(clip: Clip, n_shifts: int, protocols: Sequence[str], weights: str) -> str:
    """A short hash of all that scores depend on besides images and texts; ``weights`` is the model's ``weights_sha256``."""
    hashes = {name: protocol_hash(clip, x) for name, x in protocols_of_run(clip, n_shifts, protocols).items()}
    return short_hash([hashes, weights, repr(clip.network), list(MEASURES)])


def _state(image_set: ImageSet, image: str, text: str) -> list:
    """What the score of a panorama depends on besides model and protocols: its file and its text."""
    return [*image_set.state(image), text]


def _resume(partial: Path, image_set: ImageSet, duplicates: Duplicates) -> set[str]:
    """The images whose scores a stopped run left, and whose file and text are as they were; ``partial`` keeps only these.

    A line that a killed process or a power failure left incomplete counts as not written.
    """
    if not partial.is_file():
        return set()
    texts, scored, n_changed = dict(zip(image_set.table.image, image_set.texts, strict=True)), set(), 0
    kept = partial.with_name(f"{partial.name}.kept")
    with partial.open(encoding="utf-8", errors="replace") as old, kept.open("w", encoding="utf-8", newline="\n") as new:
        for line in old:
            try:
                record = json.loads(line)
                image, state = record["image"], record[STATE]
            except (ValueError, KeyError, TypeError):
                continue
            if image in texts and state == _state(image_set, image, texts[image]):
                scored.add(image)
                duplicates.add(record)
                new.write(line)
            elif image in texts:
                n_changed += 1
    os.replace(kept, partial)
    print(
        f"continuing a stopped run: {len(scored)} of {len(texts)} panoramas are scored, {n_changed} have changed since and"
        " are scored again",
        file=sys.stderr,
    )
    return scored


def _in_order(partial: Path, images: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The records of ``partial``, in the order of ``images``; memory holds where each begins."""
    offsets, offset = {}, 0
    with partial.open("rb") as file:
        for line in file:
            offsets[json.loads(line)["image"]] = offset
            offset += len(line)
        for image in images:
            file.seek(offsets[image])
            record = json.loads(file.readline())
            record.pop(STATE)
            yield record


def _write_scores(folder: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write the two forms of the scores, each complete or not at all."""
    files = [(path, path.with_name(f"{path.name}.temporary")) for path in (folder / RECORDS, folder / SCORES)]
    (_, lines), (_, table) = files
    with (
        lines.open("w", encoding="utf-8", newline="\n") as json_file,
        table.open("w", encoding="utf-8", newline="") as csv_file,
    ):
        records, is_first = iter(records), True
        while chunk := list(islice(records, ROWS_AT_ONCE)):
            json_file.writelines(json.dumps(record) + "\n" for record in chunk)
            score_table(chunk).to_csv(csv_file, index=False, header=is_first, lineterminator="\n", float_format="%.6g")
            is_first = False
    for path, temporary in files:
        os.replace(temporary, path)


def rounded(value: Any) -> Any:
    """The same with every float at six significant digits, so that a record read back is the record written."""
    if isinstance(value, dict):
        return {key: rounded(x) for key, x in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value

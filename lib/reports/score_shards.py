"""Scores of shards by several processes that each hold the model: Ray Data distributes shards, the scoring code is that of one.

The unit of work is a shard, not a batch: a worker reads, decodes and scores it with ``scoring.panorama_scores`` and writes its
Parquet file. No image travels between processes, a finished shard is never computed again, and a worker that is killed loses
one shard.
"""

import logging
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm

from clip360.models.clip import Clip
from clip360.reports.panorama_scores import score_records
from clip360.reports.score_folder import rounded
from clip360.reports.shards import Shard, is_finished, shard_path, write_shard
from clip360.scoring.embedding import truncated

SHARD, N_SCORED, ERROR = "shard", "n_scored", "error"  # keys of what a worker returns of a shard


@dataclass(frozen=True)
class Job:
    """What every worker needs besides the shards; ``open_clip`` makes its model, ``fingerprint`` is ``scoring_fingerprint``."""

    open_clip: Callable[[], Clip]
    out: Path
    fingerprint: str
    cue: str | None = None
    n_shifts: int = 8
    batch_size: int = 64
    protocols: Sequence[str] = ()


class ShardScorer:
    """A worker: it opens the model once, then scores the shards that it is given and writes their files."""

    def __init__(self, job: Job):
        self.job, self.clip = job, job.open_clip()

    def __call__(self, batch: Mapping[str, Sequence[bytes]]) -> dict[str, list]:
        """Score the pickled shards ``batch[SHARD]``: name, number of panoramas and error of each, empty where there is none."""
        shards: list[Shard] = [pickle.loads(shard) for shard in batch[SHARD]]
        results = [(shard.name, *self._score(shard)) for shard in shards]
        names, numbers, errors = map(list, zip(*results, strict=True))
        return {SHARD: names, N_SCORED: numbers, ERROR: errors}

    def _score(self, shard: Shard) -> tuple[int, str]:
        # A shard that cannot be scored must not end a run of many days.
        try:
            return self.score(shard), ""
        except (ValueError, OSError) as error:
            return 0, " ".join(str(error).split())

    def score(self, shard: Shard) -> int:
        """Score a shard and write its file; returns the number of its panoramas. Raises DataError where one cannot be read."""
        job, state = self.job, shard.state()  # taken before any image is opened
        image_set = shard.open(job.cue)
        too_long = set(truncated(self.clip, image_set.texts))
        options = {"n_shifts": job.n_shifts, "batch_size": job.batch_size, "protocols": job.protocols}
        batches = score_records(self.clip, image_set, **options, progress=False)
        records = [rounded(record) for record in chain.from_iterable(batches)]
        metadata = {
            "fingerprint": job.fingerprint,
            "state": state,
            "n_truncated": sum(text in too_long for text in image_set.texts),
        }
        write_shard(shard_path(job.out, shard), records, metadata)
        return len(records)


def score_shards(
    job: Job, shards: Sequence[Shard], *, workers: int, cpus: float, gpus: float, address: str | None = None
) -> Iterator[dict[str, Any]]:
    """Score the shards that are not finished, by ``workers`` processes with so many CPUs and GPUs each; yields one result a shard.

    ``address`` is that of a running Ray cluster, None starts one on this machine. Raises RuntimeError where Ray is not installed.
    """
    remaining = [
        shard
        for shard in tqdm(shards, desc="looking for finished shards")
        if not is_finished(shard_path(job.out, shard), shard, job.fingerprint)
    ]
    if not remaining:
        return
    ray = require_ray()
    started_here = not ray.is_initialized()
    if started_here:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    try:
        workers = min(workers, len(remaining))
        # A block for each shard, so that a worker that is done takes the next one.
        scored = ray.data.from_items(
            [{SHARD: pickle.dumps(shard)} for shard in remaining], override_num_blocks=len(remaining)
        ).map_batches(
            ShardScorer,
            fn_constructor_args=(job,),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=cpus,
            num_gpus=gpus,
        )
        with tqdm(total=len(remaining), desc="shards") as progress:
            for row in scored.iter_rows():
                progress.update()
                yield row
    finally:
        if started_here:
            ray.shutdown()


def require_ray():
    """The module ``ray``, with ``ray.data``; RuntimeError with the way to install it where it is missing."""
    try:
        import_module("ray.data")
    except ImportError as error:
        raise RuntimeError("scoring by shards needs Ray: pip install 'clip360[scale]'") from error
    return import_module("ray")

"""Ways to do the same, timed in turn: a machine is seldom quiet, so only times of the same round are compared."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor


class Timed(NamedTuple):
    """Seconds of each way in each round, by the clock and of all cores together, both [rounds x ways]; and what each gave in
    the last."""

    clock: pd.DataFrame
    cores: pd.DataFrame
    results: dict[str, object]


def interleave(ways: Mapping[str, Callable[[], object]], rounds: int) -> Timed:
    """Run ways in turn, A B C A B C ..."""
    timed = Timed(*(pd.DataFrame(index=range(rounds), columns=list(ways), dtype=float) for _ in range(2)), {})
    for k in range(rounds):
        for name, way in ways.items():
            clock, cores = time.perf_counter(), time.process_time()
            timed.results[name] = way()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            timed.clock.loc[k, name] = time.perf_counter() - clock
            timed.cores.loc[k, name] = time.process_time() - cores
    return timed


def compare(timed: Timed, ours: str, other: str, count: int, *, target: float) -> dict[str, float | bool]:
    """Two ways to handle ``count`` panoramas: how many a second, and how many times as fast ours is, also in core time."""
    ratio = timed.clock[other] / timed.clock[ours]
    return {
        "panoramas a second": count / timed.clock[ours].median(),
        "other way": count / timed.clock[other].median(),
        "ratio": ratio.median(),
        "lowest": ratio.min(),
        "highest": ratio.max(),
        "ratio of core time": (timed.cores[other] / timed.cores[ours]).median(),
        "target": target,
        "met": bool(ratio.median() >= target),
    }


def difference(what: str, ours: Tensor, other: Tensor, *, tolerance: float = 1e-3) -> float:
    """The largest difference of what two ways gave; RuntimeError where it is above ``tolerance``."""
    largest = (ours - other).abs().max().item()
    if not largest <= tolerance:
        raise RuntimeError(
            f"{what}: the ways differ by {largest:.2g}, expected at most {tolerance}: one of them is wrong"
        )
    return largest

"""Variants of a task, timed in turn: the load of a machine changes, so only times of the same round are compared."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor


class Timings(NamedTuple):
    """Seconds of each variant in each round, [rounds x variants], and each variant's result in the last round.

    ``wall`` is wall-clock time, ``cpu`` is CPU time summed over all cores.
    """

    wall: pd.DataFrame
    cpu: pd.DataFrame
    results: dict[str, object]


def interleave(variants: Mapping[str, Callable[[], object]], rounds: int) -> Timings:
    """Run the variants in turn, A B C A B C ..., and time each."""
    wall, cpu = (pd.DataFrame(index=range(rounds), columns=list(variants), dtype=float) for _ in range(2))
    results = {}
    for k in range(rounds):
        for name, variant in variants.items():
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            results[name] = variant()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            wall.loc[k, name] = time.perf_counter() - wall_start
            cpu.loc[k, name] = time.process_time() - cpu_start
    return Timings(wall, cpu, results)


def compare(timings: Timings, ours: str, reference: str, n_panoramas: int, *, target: float) -> dict[str, float | bool]:
    """The speeds of two variants that process ``n_panoramas`` panoramas, and the time of the reference over ours.

    The ratio meets its target if its median over the rounds is at least ``target``.
    """
    ratio = timings.wall[reference] / timings.wall[ours]
    return {
        "panoramas per second": n_panoramas / timings.wall[ours].median(),
        "reference, panoramas per second": n_panoramas / timings.wall[reference].median(),
        "ratio": ratio.median(),
        "lowest": ratio.min(),
        "highest": ratio.max(),
        "ratio of CPU time": (timings.cpu[reference] / timings.cpu[ours]).median(),
        "target": target,
        "met": bool(ratio.median() >= target),
    }


def largest_difference(name: str, ours: Tensor, reference: Tensor, *, tolerance: float = 1e-3) -> float:
    """The largest absolute difference of two results; RuntimeError, which starts with ``name``, above ``tolerance``."""
    largest = (ours - reference).abs().max().item()
    if not largest <= tolerance:  # also true for NaN
        raise RuntimeError(
            f"{name}: the results of two variants differ by {largest:.2g}: expected at most {tolerance}, so one of them"
            " is wrong: compare their code"
        )
    return largest

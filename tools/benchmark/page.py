"""docs/performance.md: what was measured, as tables and in plain sentences."""

import os
import platform
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from clip360.figures.tables import readable
from tools.benchmark.probe import ENCODERS
from tools.benchmark.tuning import ANEW

GROWTH = 1.05  # of the peak memory from the fewest to the most pictures, the target
PAGE = """# Performance

Written by `make bench`, which measures anew; `python -m tools.benchmark --help` lists sizes and the device.

{machine}

Ratios count, not rates: ways to do the same are timed in turn in each of {rounds} rounds (A B A B ...). A ratio is the median over the rounds,
beside the lowest and the highest. Where other programs take the cores now and then, the ratio of core time, the seconds of all cores together,
tells more; but it does not see what a second, idle core does at the same time. What two ways give, scores in points or losses, may differ by 0.001; with JPEG copies alone by more.

## Against other ways

{comparisons}

The probe scores a panorama of 512 x 256 pixels under eight circular shifts: decoded once, resized once, shifted on the tensor, its caption
encoded once. In the straightforward way each shifted copy is a file, read back through PIL and open_clip's transform into one stack, and the
captions are encoded again for every copy. The PNG files are compressed as little as possible, to be quick. JPEG files, as the released scripts
keep them, are quicker still, but alter the pixels and so the scores.

Fine-tuning is an epoch on panoramas of 256 x 128 by a strategy of the paper. With nothing kept, each step decodes and resizes its panoramas,
encodes their texts, and asks the frozen model for their scores.

{verdicts}

## Where the time of the probe goes

Milliseconds of one core for a panorama, each part by itself (on a GPU, milliseconds by the clock):

{parts}

## Scores of own panoramas

`python -m clip360.scoring.panorama_scores` from start to end, eight shifts shown squashed, on pictures of 96 x 48:

{sizes}

{memory}

## The renderer

{rendered}
"""


class Measured(NamedTuple):
    """The tables of the page."""

    comparisons: pd.DataFrame
    parts: pd.DataFrame
    sizes: pd.DataFrame
    rendered: pd.DataFrame


def page(measured: Measured, *, machine: str, rounds: int) -> str:
    """The page in Markdown."""
    tables = {name: table(frame) for name, frame in measured._asdict().items()}
    verdicts, memory = tell_verdicts(measured), tell_memory(measured.sizes)
    return PAGE.format(machine=machine, rounds=rounds, verdicts=verdicts, memory=memory, **tables)


def table(frame: pd.DataFrame) -> str:
    words = readable(frame.map(lambda value: number(value) if isinstance(value, float) else value))
    return words.to_markdown(index=False, disable_numparse=True)


def number(value: float) -> str:
    """Three significant digits, large numbers without an exponent.

    >>> number(1234.5), number(0.012345)
    ('1230', '0.0123')
    """
    return f"{float(f'{value:.3g}'):.12g}"


def tell_machine(device: str) -> str:
    """The machine, and what torch makes of it."""
    where = torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"
    return (
        f"Machine: {os.cpu_count()} cores of {processor()}, {platform.system()}; torch {torch.__version__} on {where}, compute threads: "
        f"{torch.get_num_threads()} (`compute.threads`)."
    )


def processor() -> str:
    """The processor's name, where the system tells it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def tell_verdicts(measured: Measured) -> str:
    """How many targets are met, and what limits the others."""
    table, parts = measured.comparisons, measured.parts.set_index("model")
    encoders = table[table.against == ENCODERS].set_index("model").ratio
    missed = table[~table.met].to_dict("records")
    if not missed:
        return f"All {len(table)} targets are met."
    lines = [f"{len(table) - len(missed)} of {len(table)} targets are met. What limits the others:", ""]
    for row in missed:
        limit = {ENCODERS: tell_parts(parts.loc[row["model"]]), ANEW: tell_shared(row["ratio"])}
        bound = tell_bound(row["ratio"] / encoders[row["model"]])
        lines.append(f"- {row['what']}, {row['model']}, against {row['against']}: {limit.get(row['against'], bound)}")
    return "\n".join(lines)


def tell_parts(part: pd.Series) -> str:
    """Why the probe is slower than its encoders, from the milliseconds of its parts."""
    encoders, rest = part["encode pictures"] + part["encode texts"], part["decode"] + part["resize"] + part["shift"]
    return (
        f"encoding takes {number(encoders)} ms a panorama; decoding, resizing and shifting take {number(rest)} ms more, so that"
        f" one core can reach {encoders / (encoders + rest):.2f}. Only a second core that is idle can decode meanwhile."
    )


def tell_bound(bound: float) -> str:
    """Why the probe does not beat the straightforward way by more."""
    return f"encoding alone is {bound:.2f} times as fast as that way, and no probe can be faster."


def tell_shared(ratio: float) -> str:
    """Why keeping texts, scores and pictures does not bring more."""
    return f"{1 / ratio:.0%} of its time goes into what both do, above all the passes with gradients."


def tell_memory(sizes: pd.DataFrame) -> str:
    """How much the peak of memory grows with the number of pictures."""
    few, many = sizes.iloc[0], sizes.iloc[-1]
    growth = many["peak MiB"] / few["peak MiB"]
    return (
        f"The peak of memory on {many.pictures:.0f} pictures is {growth:.3f} times that on {few.pictures:.0f}"
        f" (target: at most {GROWTH}, {'met' if growth <= GROWTH else 'missed'})."
    )

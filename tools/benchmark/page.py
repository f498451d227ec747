"""The text of docs/performance.md: the measured tables, and which targets they meet."""

import os
import platform
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from clip360.figures.tables import readable
from tools.benchmark.finetuning import UNCACHED
from tools.benchmark.probe import ENCODERS

MEMORY_TARGET = 1.05  # largest ratio of the peak memory on the most images to that on the fewest
PAGE = """# Performance

`make bench` measures and writes this page; `python -m tools.benchmark --help` lists its options. Real architectures on a GPU: [performance_gpu.md](performance_gpu.md).

{machine}

Compare the ratios rather than the rates: each of {rounds} rounds times all variants of a task in turn (A B A B ...), so that both sides of a ratio
run under the same load. A ratio is the time of the reference divided by ours. The tables give its median over the rounds, its lowest and its
highest value. Where other programs use the cores at times, the ratio of CPU time (seconds of all cores together) is more reliable, but it ignores
what a second, idle core does at the same time. The results of two variants, scores in points or losses, differ by at most 0.001, except with
JPEG copies.

## Comparison with other implementations

{comparisons}

The probe scores a panorama of 512 x 256 pixels under eight circular shifts. It decodes and resizes each panorama once, shifts it on the tensor, and
encodes its caption once. The straightforward script saves each shifted copy as a file, reads the copies back through PIL and open_clip's transform into
one stack, and encodes the captions again for every shift. It compresses PNG files as little as possible, which is fastest. JPEG files, which the paper's
released scripts save, are faster still, but they alter the pixels and therefore the scores.

Fine-tuning is one epoch on panoramas of 256 x 128 pixels by a method of the paper. Without caches, each step decodes and resizes its panoramas, encodes
their texts, and computes their scores with the frozen model.

{verdicts}

## Time of each part of the probe

Milliseconds of CPU time per panorama, each part timed alone (on a GPU, milliseconds of wall-clock time):

{parts}

## Speed and memory of `clip360 score`

`clip360 score` from start to end, with eight shifts under the view `squash`, on images of 96 x 48 pixels:

{sizes}

{memory}

## Speed of the renderer

{rendering}
"""


class Tables(NamedTuple):
    """The tables of the page."""

    comparisons: pd.DataFrame
    parts: pd.DataFrame
    sizes: pd.DataFrame
    rendering: pd.DataFrame


def page(tables: Tables, *, machine: str, rounds: int) -> str:
    """The page in Markdown."""
    return PAGE.format(
        machine=machine,
        rounds=rounds,
        verdicts=report_targets(tables),
        memory=report_memory(tables.sizes),
        **{name: markdown_table(table) for name, table in tables._asdict().items()},
    )


def markdown_table(table: pd.DataFrame) -> str:
    words = readable(table.map(lambda value: rounded(value) if isinstance(value, float) else value))
    return words.to_markdown(index=False, disable_numparse=True)


def rounded(value: float) -> str:
    """A number with three significant digits, without an exponent where it is large.

    >>> rounded(1234.5), rounded(0.012345)
    ('1230', '0.0123')
    """
    return f"{float(f'{value:.3g}'):.12g}"


def describe_machine(device: str) -> str:
    """One sentence: the processor and its cores, the system, torch's version and device, and the number of threads."""
    torch_device = torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"
    return (
        f"Machine: {os.cpu_count()} cores of {processor()}, {platform.system()}; torch {torch.__version__} on {torch_device}, compute threads: "
        f"{torch.get_num_threads()} (`compute.threads`)."
    )


def processor() -> str:
    """The name of the processor; its architecture where the system gives no name."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def report_targets(tables: Tables) -> str:
    """How many targets are met, and for each missed target what limits the speed."""
    comparisons, parts = tables.comparisons, tables.parts.set_index("model")
    encoder_ratios = comparisons[comparisons.reference == ENCODERS].set_index("model").ratio
    missed = comparisons[~comparisons.met].to_dict("records")
    if not missed:
        return f"All {len(comparisons)} targets are met."
    n_met = len(comparisons) - len(missed)
    lines = [f"{n_met} of {len(comparisons)} targets are met. What limits the others:", ""]
    for row in missed:
        if row["reference"] == ENCODERS:
            limit = encoder_limit(parts.loc[row["model"]])
        elif row["reference"] == UNCACHED:
            limit = caching_limit(row["ratio"])
        else:
            limit = script_limit(row["ratio"] / encoder_ratios[row["model"]])
        lines.append(f"- {row['task']}, {row['model']}, against {row['reference']}: {limit}")
    return "\n".join(lines)


def encoder_limit(milliseconds: pd.Series) -> str:
    """Why the probe is slower than its encoders, from the milliseconds of each part."""
    encoding = milliseconds["encode images"] + milliseconds["encode texts"]
    preparation = milliseconds["decode"] + milliseconds["resize"] + milliseconds["shift"]
    return (
        f"encoding takes {rounded(encoding)} ms per panorama, and decoding, resizing and shifting take {rounded(preparation)} ms"
        f" more, so one core reaches at most {encoding / (encoding + preparation):.2f}. A second core prepares the next batch only"
        " where it is free."
    )


def script_limit(bound: float) -> str:
    """Why the probe is not faster still than a script; ``bound`` is the speed of encoding alone over the script's."""
    return f"encoding alone is {bound:.2f} times as fast as the script, and no probe can be faster."


def caching_limit(ratio: float) -> str:
    """Why caches do not save more; ``ratio`` is the time without them over the time with them."""
    return f"{1 / ratio:.0%} of the time without caches is work that caches cannot save, mostly the forward and backward passes of training."


def report_memory(sizes: pd.DataFrame) -> str:
    """How much the peak memory grows from the smallest to the largest set."""
    smallest, largest = sizes.iloc[0], sizes.iloc[-1]
    growth = largest["peak MiB"] / smallest["peak MiB"]
    return (
        f"The peak memory on {largest.images:.0f} images is {growth:.3f} times that on {smallest.images:.0f}"
        f" (target: at most {MEMORY_TARGET}, {'met' if growth <= MEMORY_TARGET else 'missed'})."
    )

"""Measure the visual probe and fine-tuning with real architectures on a GPU, and write docs/performance_gpu.md.

python -m tools.benchmark.gpu PANORAMAS
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

from clip360.data.image_set import ImageSet, load_image_set
from clip360.models.clip import Clip, default_device
from pipeline.error_messages import report
from pipeline.parameters import read_params
from tools.benchmark.finetuning import compare_epochs
from tools.benchmark.inputs import random_clip, repeat_images
from tools.benchmark.page import describe_machine, markdown_table, rounded
from tools.benchmark.probe import ENCODER_TARGET, compare_encoders, network_inputs, time_parts

PAGE = Path("docs", "performance_gpu.md")
PANORAMAS = {"ViT-B-32": 768, "ViT-B-16": 384, "ViT-L-14": 192}  # probed by each architecture
N_FINETUNED = 128
BATCH_SIZE = 64
METHOD = "lora_as_released"


class Variant(NamedTuple):
    """A way to compute the probe: at a precision, with compiled blocks or not, resized by PIL on the CPU or on the GPU."""

    precision: str
    compiled: bool = False
    resize: str = "pil"


VARIANTS = [
    Variant("float32"),
    Variant("bfloat16"),
    Variant("float16"),
    Variant("bfloat16", compiled=True),
    Variant("float16", compiled=True),
    Variant("bfloat16", compiled=True, resize="tensor"),
]
TEXT = """# Performance on a GPU

`python -m tools.benchmark.gpu PANORAMAS` measures and writes this page.

{machine}

The models have random weights, the panoramas are {size}, from JPEG files. Each rate is that of the median of {rounds} rounds, in panoramas per second; a
panorama is scored under eight circular shifts of the centre crop, which are eight forward passes.

## The visual probe

*encoders alone*: the network's inputs lie prepared in the GPU's memory. *end to end*: from files to scores, as the stage `score_probes` computes them. *compiled*: by `torch.compile`, block by block.
*resize*: by PIL on the CPU, or on the GPU (`protocol.resize: tensor`), which changes one pixel in seven by one level. The target is {target} of the encoders alone. *largest difference*: of a score, in points, from that of float32 without compilation.

{probe}

Milliseconds per panorama of each part alone, in float32. *decode* is by threads on all cores, *resize* by one:

{parts}

{limit}

## Fine-tuning

One epoch by `{method}` on {n_finetuned} panoramas, against the same epoch without caches.

{finetuning}
"""


def measure_probe(clip: Clip, image_set: ImageSet, rounds: int) -> Iterator[dict[str, str | float | bool]]:
    """A row for each of ``VARIANTS``; ``clip`` computes in float32."""
    inputs, reference = list(network_inputs(clip, image_set.batches(BATCH_SIZE))), None
    for variant in VARIANTS:
        protocol = replace(clip.protocol, precision=variant.precision, resize=variant.resize)
        measured = replace(with_compiled_blocks(clip) if variant.compiled else clip, protocol=protocol)
        speeds, scores = compare_encoders(measured, image_set, inputs, rounds=rounds)
        reference = scores if reference is None else reference
        yield {
            "model": clip.name,
            **variant._asdict(),
            "end to end": speeds["panoramas per second"],
            "encoders alone": speeds["reference, panoramas per second"],
            "ratio": speeds["ratio"],
            "met": speeds["met"],
            "largest difference": (scores - reference).abs().max().item(),
        }


def with_compiled_blocks(clip: Clip) -> Clip:
    """A copy of a ViT of open_clip whose transformer blocks are compiled: once, because all are alike."""
    torch.compiler.reset()  # else each precision counts as one more recompilation, of which torch allows few
    network = deepcopy(clip.network)
    for block in network.visual.transformer.resblocks:
        block.compile()
    return replace(clip, network=network)


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmark.gpu",
        description="Measure the speed on a GPU, and write docs/performance_gpu.md.",
    )
    parser.add_argument("panoramas", type=Path, metavar="PANORAMAS", help="folder of an image set; it is repeated")
    parser.add_argument("--device", default=default_device(), help="cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--architectures", nargs="+", choices=PANORAMAS, default=list(PANORAMAS))
    parser.add_argument("--n-panoramas", type=int, help="panoramas that each architecture probes and trains on")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of timing (default: %(default)s)")
    options = parser.parse_args(arguments)
    finetune, device, rounds = read_params().finetune, options.device, options.rounds
    probe, parts, finetuning = [], [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        given = load_image_set(options.panoramas)
        repeat_images(given, folder / "repeated", options.n_panoramas or max(PANORAMAS.values()))
        repeated = load_image_set(folder / "repeated")
        height, width = repeated.read(repeated.table.image[0]).shape[-2:]
        for architecture in options.architectures:
            probed = repeated.head(options.n_panoramas or PANORAMAS[architecture])
            clip = random_clip(architecture, folder, device=device)
            for row in measure_probe(clip, probed, rounds):
                probe.append(row)
                print(row, flush=True)
            parts.append(time_parts(clip, probed.head(BATCH_SIZE), batch_size=BATCH_SIZE, rounds=rounds))
            trained = repeated.head(N_FINETUNED)
            finetuning.append(compare_epochs(clip, trained, METHOD, finetune, folder, rounds=rounds))
            print(parts[-1], finetuning[-1], flush=True)
    PAGE.write_text(page(probe, parts, finetuning, describe_machine(device), size=f"{width} x {height}", rounds=rounds))
    print(f"{PAGE} is written")


def page(probe: list[dict], parts: list[dict], finetuning: list[dict], machine: str, *, size: str, rounds: int) -> str:
    """The page in Markdown, from the rows of its tables; ``size`` is that of a panorama in pixels."""
    decode = min(row["decode"] for row in parts)
    limit = (
        f"Decoding alone takes at least {rounded(decode)} ms, so that no model gets more than {rounded(1000 / decode)} panoramas per second"
        " from one process: its threads share Python's interpreter lock. Several processes, one for each part of the panoramas,"
        " share nothing (`clip360 score-shards --workers`)."
    )
    tables = (probe, parts, pd.DataFrame(finetuning).drop(columns=["task", "ratio of CPU time"]))
    named = dict(zip(("probe", "parts", "finetuning"), map(markdown_table, map(pd.DataFrame, tables)), strict=True))
    return TEXT.format(
        machine=machine,
        size=f"{size} pixels",
        rounds=rounds,
        target=ENCODER_TARGET,
        limit=limit,
        method=METHOD,
        n_finetuned=N_FINETUNED,
        **named,
    )


if __name__ == "__main__":
    report(main, *sys.argv[1:])

"""Measure the speed of the probe, of fine-tuning, of `clip360 score` and of the renderer, and write docs/performance.md.

python -m tools.benchmark [--device cuda]
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from clip360.models.clip import Clip, default_device, load_clip
from pipeline.error_messages import report
from pipeline.parameters import read_params
from tools.benchmark.finetuning import compare_epochs
from tools.benchmark.inputs import random_clip, render_set
from tools.benchmark.page import Tables, describe_machine, page
from tools.benchmark.probe import compare_probes, time_parts
from tools.benchmark.rendering import render_rates
from tools.benchmark.streaming import score_sizes

PAGE = Path("docs", "performance.md")
N_DISTINCT = 64  # distinct images in the sets that `clip360 score` reads; the rest are hard links to them
N_SCENES = 100  # scenes rendered at once


class Case(NamedTuple):
    """A model to measure and the sizes to measure it at.

    ``n_probed`` panoramas are probed, ``batch_size`` at a time, and ``n_finetuned`` panoramas train the model by each of
    ``methods``. ``target`` is the speed ratio that the probe should reach against a script that saves shifted copies.
    """

    clip: Clip
    n_probed: int
    batch_size: int
    n_finetuned: int
    methods: Sequence[str]
    target: float


def measure(
    cases: Sequence[Case], model: Path, folder: Path, *, sizes: Sequence[int], n_scenes: int, rounds: int
) -> Tables:
    """All tables of the page.

    ``clip360 score`` runs the model in the folder ``model`` on sets of ``sizes`` images. The renderer draws at most
    ``n_scenes`` scenes at once. ``folder`` takes temporary files. Raises RuntimeError where two variants of a task
    give different results.
    """
    finetune, device = read_params().finetune, str(cases[0].clip.device)
    probe_set = render_set(folder / "probed", n_images=max(case.n_probed for case in cases), height=256)
    training_set = render_set(folder / "tuned", n_images=max(case.n_finetuned for case in cases), height=128)
    distinct_images = render_set(folder / "own", n_images=min(N_DISTINCT, *sizes), height=48)
    probes, parts, epochs = [], [], []
    for case in cases:
        probed, training = probe_set.head(case.n_probed), training_set.head(case.n_finetuned)
        probes += compare_probes(case.clip, probed, batch_size=case.batch_size, rounds=rounds, target=case.target)
        parts.append(time_parts(case.clip, probed, batch_size=case.batch_size, rounds=rounds))
        epochs += [
            compare_epochs(case.clip, training, method, finetune, folder, rounds=rounds) for method in case.methods
        ]
    sizes_table = score_sizes(model, distinct_images, folder, sizes=sizes, device=device)
    rendering = render_rates(n_scenes=n_scenes, rounds=rounds, device=device)
    return Tables(*map(pd.DataFrame, (probes + epochs, parts, sizes_table, rendering)))


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmark", description="Measure the speed, and write docs/performance.md."
    )
    parser.add_argument("--device", default=default_device(), help="cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument(
        "--model",
        type=Path,
        default=Path("results/world/models/clip_p03"),
        help="folder of a small CLIP (default: %(default)s)",
    )
    parser.add_argument(
        "--architecture",
        default="ViT-B-32",
        help="architecture of open_clip, measured with random weights (default: %(default)s)",
    )
    parser.add_argument(
        "--panoramas",
        type=int,
        default=64,
        help="panoramas that the small CLIP probes; it trains on twice as many (default: %(default)s)",
    )
    parser.add_argument(
        "--architecture-panoramas",
        type=int,
        default=3,
        help="panoramas that the architecture probes and trains on (default: %(default)s)",
    )
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[1_000, 10_000],
        help="sizes of the sets that `clip360 score` scores (default: %(default)s)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds of timing (default: %(default)s)")
    options = parser.parse_args(arguments)
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        n_small, n_large = options.panoramas, options.architecture_panoramas
        small = load_clip(options.model, device=options.device)
        large = random_clip(options.architecture, Path(folder), device=options.device)
        # Attaching `lora_attention` checks every adapter, which takes a minute on a large model.
        cases = [
            Case(small, n_small, max(1, n_small // 4), 2 * n_small, ["lora_attention", "lora_as_released"], 5.0),
            Case(large, n_large, n_large, n_large, ["lora_as_released"], 1.5),
        ]
        tables = measure(
            cases, options.model, Path(folder), sizes=options.sizes, n_scenes=N_SCENES, rounds=options.rounds
        )
    load = f"Load average over one minute: {load_before:.1f} before, {os.getloadavg()[0]:.1f} at the end, the benchmark included."
    text = page(tables, machine=f"{describe_machine(options.device)}\n{load}", rounds=options.rounds)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    print(text)


if __name__ == "__main__":
    report(main, *sys.argv[1:])

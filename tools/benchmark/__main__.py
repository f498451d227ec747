"""Measure how fast all is, and write docs/performance.md.

python -m tools.benchmark [--device cuda]
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from clip360.models.clip import Clip, default_device, load_clip
from pipeline.parameters import read_params, tell
from tools.benchmark.inputs import random_clip, render_set
from tools.benchmark.page import Measured, page, tell_machine
from tools.benchmark.probe import compare_probes, time_parts
from tools.benchmark.rendering import render_rates
from tools.benchmark.streaming import score_sizes
from tools.benchmark.tuning import compare_steps

PAGE = Path("docs", "performance.md")
OWN = 64  # different pictures in the sets for clip360.scoring.panorama_scores


class Case(NamedTuple):
    """A model: how many panoramas it probes, how many at a time, how many tune it and by which strategies, and how many times as
    fast as the straightforward way its probe should be."""

    clip: Clip
    probed: int
    batch: int
    tuned: int
    strategies: Sequence[str]
    target: float


def measure(
    cases: Sequence[Case], model: Path, folder: Path, *, sizes: Sequence[int], scenes: int, rounds: int
) -> Measured:
    """All that the page tells.

    ``model`` is the folder of the model for ``clip360.scoring.panorama_scores``, ``sizes`` those of its sets; at most ``scenes`` are rendered at once;
    ``folder`` is for what is needed meanwhile. RuntimeError where two ways do not give the same.
    """
    finetune, device = read_params()["finetune"], str(cases[0].clip.device)
    probed = render_set(folder / "probed", count=max(case.probed for case in cases), height=256)
    tuned = render_set(folder / "tuned", count=max(case.tuned for case in cases), height=128)
    own = render_set(folder / "own", count=min(OWN, *sizes), height=48)
    probes, parts, steps = [], [], []
    for case in cases:
        views, pairs = probed.head(case.probed), tuned.head(case.tuned)
        probes += compare_probes(case.clip, views, batch=case.batch, rounds=rounds, target=case.target)
        parts.append(time_parts(case.clip, views, batch=case.batch, rounds=rounds))
        steps += [compare_steps(case.clip, pairs, way, finetune, folder, rounds=rounds) for way in case.strategies]
    scored = score_sizes(model, own, folder, sizes=sizes, device=device)
    rendered = render_rates(most=scenes, rounds=rounds, device=device)
    return Measured(*map(pd.DataFrame, (probes + steps, parts, scored, rendered)))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.benchmark", description="Measure, and write docs/performance.md."
    )
    parser.add_argument("--device", default=default_device(), help="cpu, cuda, cuda:1 (%(default)s)")
    parser.add_argument(
        "--model", type=Path, default=Path("results/world/models/clip_p03"), help="a small CLIP (%(default)s)"
    )
    parser.add_argument("--architecture", default="ViT-B-32", help="of open_clip, for random weights (%(default)s)")
    parser.add_argument(
        "--panoramas", type=int, default=64, help="for the small CLIP; it is tuned on twice as many (%(default)s)"
    )
    parser.add_argument("--few", type=int, default=3, help="panoramas for the architecture (%(default)s)")
    parser.add_argument(
        "--sizes",
        type=int,
        nargs="+",
        default=[1_000, 10_000],
        help="of sets for clip360.scoring.panorama_scores (%(default)s)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="in which all is timed (%(default)s)")
    given = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        many, few = given.panoramas, given.few
        small = load_clip(given.model, device=given.device)
        large = random_clip(given.architecture, Path(folder), device=given.device)
        cases = [  # every adapter of `attention` is tried when it is attached, which takes a large model a minute
            Case(small, many, max(1, many // 4), 2 * many, ["attention", "released"], 5.0),
            Case(large, few, few, few, ["released"], 1.5),
        ]
        measured = measure(cases, given.model, Path(folder), sizes=given.sizes, scenes=100, rounds=given.rounds)
    busy = f"Programs that wanted a core: {before:.1f} before, {os.getloadavg()[0]:.1f} at the end, the benchmark among them."
    text = page(measured, machine=f"{tell_machine(given.device)}\n{busy}", rounds=given.rounds)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, encoding="utf-8", newline="\n")
    print(text)


if __name__ == "__main__":
    tell(main)

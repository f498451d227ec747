"""Score a model for the trade-off, on all image sets, on the panoramas that models are tuned on and on those to choose by.

    python -m pipeline.score_tradeoff RUN                  a fine-tuned model
    python -m pipeline.score_tradeoff --frozen MODEL       a frozen one
    python -m pipeline.score_tradeoff --untrained MODEL    all ways of use of a frozen one that need no training

Writes results/PROFILE/scores/tradeoff/RUN.parquet (MODEL.parquet, MODEL_untrained.parquet).
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pandas as pd

from clip360.data.image_set import ImageSet, load_image_set
from clip360.evaluation.pretraining_evaluation import setting_phrases
from clip360.evaluation.tradeoff import average, tradeoff_scores, tradeoff_views
from clip360.models.clip import Clip
from clip360.models.positional_embeddings import with_positions
from clip360.scoring.shifts import curve, embed_distinct
from clip360.scoring.views import perspective_view
from pipeline.inputs import read_model
from pipeline.outputs import write_scores
from pipeline.parameters import read_params, tell
from pipeline.scenes import read_scenes
from pipeline.tuning import read_protocol_of, read_training, read_tuned


def main(*arguments: str) -> None:
    params, name = read_params(), arguments[-1]
    if arguments[0] == "--untrained":
        untrained = params["finetune"]["untrained"][name]
        write_scores(list(score_untrained(params, name, untrained)), params, "tradeoff", f"{name}_untrained")
        return
    clip = read_model(params, name) if arguments[0] == "--frozen" else read_tuned(params, name)
    write_scores(list(score(params, clip, {name: 1})), params, "tradeoff", name)


def score_untrained(params: dict, model: str, ways: dict[str, dict]) -> Iterator[pd.DataFrame]:
    """Scores of a frozen model used in several ways; those that only differ in ``turns`` share their embeddings."""

    def single(name: str) -> tuple[str | None, str]:
        return ways[name].get("view"), ways[name].get("positions", "own")

    for (_, positions), names in groupby(sorted(ways, key=lambda name: str(single(name))), key=single):
        alike = {name: ways[name] for name in names}
        changes = read_protocol_of(next(iter(alike.values())))
        clip = with_positions(read_model(params, model, **changes), positions)
        yield from score(params, clip, {name: way.get("turns", 1) for name, way in alike.items()})


def score(params: dict, clip: Clip, turns: dict[str, int]) -> Iterator[pd.DataFrame]:
    """Scores of one model under several names, each with the number of shifts that its embedding is the mean over."""
    textual, tested = params["textual_probe"], params["visual_probe"]["tested"]
    averaged, steps = max(turns.values()) > 1, 2 * tested
    # The tested shifts, and some halfway between two of them; for a mean over shifts, all that lie in it.
    shares = curve(steps) if averaged else sorted({*curve(tested), *curve(steps)[::4]})
    views = tradeoff_views(clip, shares, control=perspective_view(**textual["control"]), mirrored=averaged)
    for pictures in image_sets(params):
        seen = embed_distinct(clip, pictures, views, batch=params["compute"]["batch"])
        labels = settings(params, pictures)
        for name, count in turns.items():
            yield tradeoff_scores(
                replace(clip, name=name),
                pictures,
                average(seen, turns=count, steps=steps) if averaged else seen,
                generic=textual["generic"][0],
                labels=labels,
                classes=setting_phrases(),
            )


def image_sets(params: dict) -> Iterator[ImageSet]:
    """Those to be probed, that to choose runs by, and as many of the panoramas that models are tuned on (or all of these)."""
    yield from (load_image_set(Path(params["data"], name)) for name in params["image_sets"])
    training, validation = read_training(params)
    yield training.head(params["finetune"]["validation"] or None)
    if validation:
        yield validation


def settings(params: dict, pictures: ImageSet) -> list[str] | None:
    """Where each scene of a rendered set plays; None for pictures that are no renderings."""
    scenes = read_scenes(params, pictures)
    return scenes and [scene.setting for scene in scenes]


if __name__ == "__main__":
    tell(main, *sys.argv[1:])

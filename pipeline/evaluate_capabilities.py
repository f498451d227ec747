"""Measure what a model can still do: classification, retrieval, fine-grained attributes, viewpoints.

    python -m pipeline.evaluate_capabilities RUN               a fine-tuned model
    python -m pipeline.evaluate_capabilities --frozen MODEL    a frozen one

Writes results/PROFILE/scores/abilities/RUN.parquet, as lib/abilities.py describes it; of a frozen model also what it made of
all texts, results/PROFILE/texts/MODEL.safetensors, for those that were tuned from it and read as it does.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from torch import Tensor

from clip360.data.image_set import ImageSet, load_image_set
from clip360.evaluation.capabilities import (
    Examinee,
    embed_questions,
    finding,
    knowing_again,
    naming,
    telling_apart,
    wordings,
)
from clip360.finetune.methods import find_strategy
from clip360.geometry.crops import crops
from clip360.models.clip import Clip
from clip360.names import CROP, PANORAMA, PERSPECTIVE
from clip360.scoring.embedding import embed_images
from clip360.scoring.shifts import curve, embed_distinct
from clip360.scoring.views import Shift, perspective_view
from clip360.world.attribute_questions import asked_things
from clip360.world.scene import Scene
from pipeline.inputs import read_model
from pipeline.outputs import read_texts, write_scores, write_texts
from pipeline.parameters import read_params, tell
from pipeline.scenes import read_scenes
from pipeline.tuning import read_run, read_tuned


def main(*arguments: str) -> None:
    params, name, parts = read_params(), arguments[-1], []
    if frozen := arguments[0] == "--frozen":
        clip = replace(read_model(params, name), known={})
    else:
        run, clip = read_run(params, name), read_tuned(params, name)
        reads = find_strategy(run["strategy"]).reads  # then texts mean something else to it
        clip = replace(clip, name=name, known={} if reads else read_texts(params, run["model"]))
    for image_set in params["image_sets"]:
        pictures = load_image_set(Path(params["data"], image_set)).head(params["abilities"]["images"])
        parts += measure(params, clip, pictures)
    write_scores(parts, params, "abilities", name)
    if frozen:
        write_texts(clip.known, params, name)


def measure(params: dict, clip: Clip, pictures: ImageSet) -> Iterator[pd.DataFrame]:
    """All abilities on one image set; of pictures whose scenes are not known, what needs none of them."""
    study, table, generic = params["abilities"], pictures.table, params["textual_probe"]["generic"]
    own_cues = table.cue if "cue" in table else pd.Series(generic[0], index=table.index)
    cues = {PANORAMA: list(dict.fromkeys(own_cues)), PERSPECTIVE: generic, CROP: generic}
    first = {view: words[0] for view, words in cues.items()}
    scenes, who = read_scenes(params, pictures), Examinee(clip, pictures.name, table.image)
    places = scenes and [scene.setting for scene in scenes]

    seen, turned = look_around(params, clip, pictures, curve(params["visual_probe"]["tested"]))
    captions = wordings(scenes, table.caption, count=study["captions"], seed=study["seed"])
    yield finding(who, seen, captions, {PANORAMA: own_cues, PERSPECTIVE: [generic[0]] * len(table)}, turned)
    yield knowing_again(who, PANORAMA, "turned", turned, places, first[PANORAMA])
    if scenes:
        things = asked_things(scenes, seed=study["seed"])
        seen[CROP] = look_closely(
            params, clip, pictures, [[s.things[k].azimuth] for s, k in zip(scenes, things, strict=True)]
        )
        yield naming(who, seen, scenes, things, cues)
        asked = embed_questions(clip, scenes, things, generic[0], seed=study["seed"])
        yield telling_apart(who, {view: seen[view] for view in (PANORAMA, CROP)}, asked)
        yield from step_aside(params, clip, pictures.name, places, first)


def look_around(
    params: dict, clip: Clip, pictures: ImageSet, shares: Sequence[float] = ()
) -> tuple[dict[str, Tensor], dict[float, Tensor]]:
    """Embeddings of the panoramas and of a photograph out of each; and of the panoramas by degrees, not turned and turned by
    each of the ``shares`` of a whole turn."""
    control = perspective_view(**params["textual_probe"]["control"])
    views = {PERSPECTIVE: control, **{360 * share: Shift(share) for share in (0.0, *shares)}}
    turned = embed_distinct(clip, pictures, views, batch=params["compute"]["batch"])
    photographs = turned.pop(PERSPECTIVE)
    return {PANORAMA: turned[0.0], PERSPECTIVE: photographs}, turned


def directions(scenes: Sequence[Scene], things: Sequence[Sequence[int]]) -> list[list[float]]:
    """In which yaws the given things of each scene stand."""
    return [[scene.things[k].azimuth for k in several] for scene, several in zip(scenes, things, strict=True)]


def look_closely(params: dict, clip: Clip, pictures: ImageSet, directions: Sequence[Sequence[float]]) -> Tensor:
    """Embeddings of the crops in each panorama's ``directions`` (yaws), one after the other."""
    cuts = crops(pictures.batches(params["compute"]["batch"]), directions, **params["abilities"]["crop"])
    total = sum(map(len, directions))
    return embed_images(clip, cuts, {CROP: lambda pictures: pictures}, total=total)[CROP]


def step_aside(
    params: dict, clip: Clip, image_set: str, places: Sequence[str], cues: Mapping[str, str]
) -> Iterator[pd.DataFrame]:
    """Panoramas of the scenes, and photographs out of them, from cameras at several distances."""
    study, views, images = params["abilities"]["viewpoints"], (PANORAMA, PERSPECTIVE), []
    seen: dict[str, dict[float, Tensor]] = {view: {} for view in views}
    for distance in (0.0, *study["distances"]):
        pictures = load_image_set(Path("results", params["profile"], "viewpoints", image_set, f"{distance:g}"))
        images, (found, _) = pictures.table.image, look_around(params, clip, pictures)
        for view in views:
            seen[view][distance] = found[view]
    who = Examinee(clip, image_set, images)
    for view in views:
        yield knowing_again(who, view, "moved", seen[view], places[: len(images)], cues[view])


if __name__ == "__main__":
    tell(main, *sys.argv[1:])

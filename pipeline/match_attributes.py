"""Match the frozen embeddings of a model by small heads: are attributes in the embeddings, and lost by the cosine?

    python -m pipeline.match_attributes MODEL

Heads learn from crops of all things of the panoramas that models are fine-tuned on, and are asked about the image sets, as the
model itself in stages/measure_abilities.py. Writes results/PROFILE/scores/matching/MODEL.parquet.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from torch import Tensor, nn

from clip360.data.image_set import ImageSet, load_image_set
from clip360.data.prompts import prompt
from clip360.evaluation.attributes import blind_weights, true_rank
from clip360.evaluation.capabilities import Examinee, embed_questions, matched
from clip360.evaluation.matching import MATCHERS, new_matcher, probe, train_matcher
from clip360.models.clip import Clip
from clip360.names import BLIND, CROP, PERSPECTIVE, PROBE, WARM
from clip360.scoring.embedding import embed_texts
from clip360.world.attribute_questions import asked_things
from clip360.world.captions import SUBSTITUTABLE
from clip360.world.scene import Scene
from pipeline.evaluate_capabilities import directions, look_around, look_closely
from pipeline.inputs import read_model
from pipeline.outputs import read_texts, write_scores
from pipeline.parameters import read_params, tell
from pipeline.scenes import draw_scenes, read_scenes


def main(model: str) -> None:
    params = read_params()
    clip = replace(read_model(params, model), known=read_texts(params, model))
    write_scores(list(score(params, clip)), params, "matching", model)


def score(params: dict, clip: Clip) -> Iterator[pd.DataFrame]:
    """Ranks by every matcher, by one that sees no picture, and what linear probes find, on all sets whose scenes are known."""
    study, cue = params["abilities"], params["textual_probe"]["generic"][0]
    scenes, pictures = scenes_to_learn_from(params)
    crops = look_closely(params, clip, pictures, directions(scenes, [range(len(scene.things)) for scene in scenes]))
    matchers, blind = learn(study, clip, scenes, crops, cue), blind_scorers(study, clip, scenes, cue)
    known = [thing for scene in scenes for thing in scene.things]
    for image_set in params["image_sets"]:
        pictures = load_image_set(Path(params["data"], image_set)).head(study["images"])
        if scenes := read_scenes(params, pictures):
            who, things = Examinee(clip, image_set, pictures.table.image), asked_things(scenes, seed=study["seed"])
            seen = look_closely(params, clip, pictures, directions(scenes, [[k] for k in things]))
            asked = embed_questions(clip, scenes, things, cue, seed=study["seed"])
            photographs = look_around(params, clip, pictures)[0][PERSPECTIVE]
            texts = embed_texts(clip, [prompt(cue, caption) for caption in pictures.table.caption])
            yield matched(who, matchers, seen, asked, photographs, texts)
            for subset, read in asked.items():
                yield who.rows(CROP, "attributes", BLIND, true_rank(read @ blind[subset]), label=subset)
            for name in SUBSTITUTABLE:
                values, own = (
                    [getattr(thing, name) for thing in several]
                    for several in (known, [scene.things[k] for scene, k in zip(scenes, things, strict=True)])
                )
                found = probe(crops, values, seen, validation=study["matching"]["validation"])
                yield who.rows(CROP, name, PROBE, [a == b for a, b in zip(found, own, strict=True)], label=own)


def learn(study: dict, clip: Clip, scenes: Sequence[Scene], crops: Tensor, cue: str) -> dict[str, nn.Module]:
    """All matchers, trained on ``crops`` of every thing of the scenes: their captions, then hard questions about them; the
    linear one after its captions alone too."""
    owners = [scene for scene in scenes for _ in scene.things]
    things = [k for scene in scenes for k in range(len(scene.things))]
    hard = embed_questions(clip, owners, things, cue, seed=study["seed"], subsets=["hard"])["hard"]
    matchers = {}
    for name, kind in {WARM: "linear", **{kind: kind for kind in MATCHERS}}.items():
        matchers[name] = new_matcher(kind, crops.shape[1], seed=study["matching"]["seed"])
        questions = None if name == WARM else (crops, hard)
        train_matcher(matchers[name], (crops, hard[:, 0]), questions, **study["matching"])
    return matchers


def blind_scorers(study: dict, clip: Clip, scenes: Sequence[Scene], cue: str) -> dict[str, Tensor]:
    """For each subset the best that can be told from captions alone, learned on questions about other scenes."""
    some = scenes[: study["blind"]]
    asked = embed_questions(clip, some, asked_things(some, seed=study["seed"]), cue, seed=study["seed"])
    return {subset: blind_weights(read) for subset, read in asked.items()}


def scenes_to_learn_from(params: dict) -> tuple[list[Scene], ImageSet]:
    """The scenes of the panoramas that models are fine-tuned on, and these."""
    pictures = load_image_set(params["finetune"]["image_set"])
    return draw_scenes(params["rendered_sets"][pictures.name], len(pictures.table)), pictures


if __name__ == "__main__":
    tell(main, *sys.argv[1:])

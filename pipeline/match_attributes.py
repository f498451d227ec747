"""Match the frozen embeddings of a model by small trained heads: do embeddings contain what the cosine ignores?

Reads results/PROFILE/models/MODEL, results/PROFILE/text_embeddings/MODEL.safetensors, the image sets, and the set that models are
fine-tuned on. Where its scenes are known, heads learn from crops of all its objects and answer the questions of
pipeline/capabilities.py about the image sets; elsewhere they learn from perspective views and captions, and retrieve. Writes results/PROFILE/measurements/matching/MODEL.parquet.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from torch import Tensor, nn

from clip360.data.image_set import ImageSet
from clip360.data.prompts import prompt
from clip360.evaluation.attributes import blind_weights, true_rank
from clip360.evaluation.capabilities import Evaluation, embed_questions, matching
from clip360.evaluation.matching import MATCHERS, new_matcher, probe, train_matcher
from clip360.models.clip import Clip
from clip360.names import BLIND, CROP, PERSPECTIVE, PROBE, WARM
from clip360.scoring.embedding import embed_texts
from clip360.world.attribute_questions import choose_objects
from clip360.world.captions import SUBSTITUTABLE
from clip360.world.scene import Scene
from pipeline.capabilities import embed_crops, embed_views, object_yaws
from pipeline.error_messages import report
from pipeline.inputs import load_finetuning_set, load_probe_set, read_model
from pipeline.outputs import read_text_embeddings, write_measurements
from pipeline.parameters import Capabilities, Parameters, RenderedSet, read_params
from pipeline.scenes import draw_scenes, read_scenes


def main(*arguments: str) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.match_attributes", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="one of `models` in params.yaml")
    model = parser.parse_args(arguments).model
    params = read_params()
    clip = replace(read_model(params, model), text_cache=read_text_embeddings(params, model))
    matched = match_captions if scenes_of_training(params) is None else match
    write_measurements(list(matched(params, clip)), params, "matching", model)


def match_captions(params: Parameters, clip: Clip) -> Iterator[pd.DataFrame]:
    """Retrieval by every matcher on all image sets, trained on a perspective view and the caption of each panorama for fine-tuning."""
    study, cue = params.capabilities, params.textual_probe.generic_cues[0]
    pairs = embed_pairs(params, clip, load_finetuning_set(params, params.finetune.image_set), cue)
    settings, matchers = study.matching.model_dump(exclude={"models"}), {}
    for kind in MATCHERS:
        matchers[kind] = new_matcher(kind, pairs[0].shape[1], seed=study.matching.seed)
        train_matcher(matchers[kind], pairs, None, **settings)
    for name in params.image_sets:
        image_set = load_probe_set(params, name).head(study.n_images)
        images, texts = embed_pairs(params, clip, image_set, cue)
        yield matching(Evaluation(clip, name, image_set.table.image), matchers, images, {}, images, texts)


def embed_pairs(params: Parameters, clip: Clip, image_set: ImageSet, cue: str) -> tuple[Tensor, Tensor]:
    """Embeddings [N, D] of a perspective view of each panorama and of its caption with ``cue``."""
    images = embed_views(params, clip, image_set)[0][PERSPECTIVE]
    return images, embed_texts(clip, [prompt(cue, caption) for caption in image_set.table.caption])


def match(params: Parameters, clip: Clip) -> Iterator[pd.DataFrame]:
    """Measurements by every matcher, by an image-blind scorer and by linear probes, on all image sets whose scenes are known."""
    study, cue = params.capabilities, params.textual_probe.generic_cues[0]
    training_scenes, panoramas = read_training_scenes(params)
    all_objects = [range(len(scene.objects)) for scene in training_scenes]
    crops = embed_crops(params, clip, panoramas, object_yaws(training_scenes, all_objects))
    matchers = train_matchers(study, clip, training_scenes, crops, cue)
    blind = blind_scorers(study, clip, training_scenes, cue)
    training_objects = [scene_object for scene in training_scenes for scene_object in scene.objects]
    for name in params.image_sets:
        image_set = load_probe_set(params, name).head(study.n_images)
        scenes = read_scenes(params, image_set)
        if not scenes:
            continue
        evaluation, indices = Evaluation(clip, name, image_set.table.image), choose_objects(scenes, seed=study.seed)
        crop_embeds = embed_crops(params, clip, image_set, object_yaws(scenes, [[k] for k in indices]))
        question_embeds = embed_questions(clip, scenes, indices, cue, seed=study.seed)
        pairs = embed_pairs(params, clip, image_set, cue)
        yield matching(evaluation, matchers, crop_embeds, question_embeds, *pairs)
        for subset, captions in question_embeds.items():
            rank = true_rank(captions @ blind[subset])
            yield evaluation.measurements(CROP, "attributes", BLIND, rank, label=subset)
        targets = [scene.objects[k] for scene, k in zip(scenes, indices, strict=True)]
        for attribute in SUBSTITUTABLE:
            labels = [getattr(scene_object, attribute) for scene_object in training_objects]
            right = [getattr(target, attribute) for target in targets]
            predicted = probe(crops, labels, crop_embeds, n_validation=study.matching.n_validation)
            hits = [a == b for a, b in zip(predicted, right, strict=True)]
            yield evaluation.measurements(CROP, attribute, PROBE, hits, label=right)


def train_matchers(
    study: Capabilities, clip: Clip, scenes: Sequence[Scene], crops: Tensor, cue: str
) -> dict[str, nn.Module]:
    """All matchers, trained on ``crops`` [total, D] of every object of the scenes: with their captions, then with hard questions.

    The linear matcher is there a second time, as WARM, after the captions alone.
    """
    scene_of_crop = [scene for scene in scenes for _ in scene.objects]
    objects = [k for scene in scenes for k in range(len(scene.objects))]
    hard = embed_questions(clip, scene_of_crop, objects, cue, seed=study.seed, subsets=["hard"])["hard"]
    settings, matchers = study.matching.model_dump(exclude={"models"}), {}
    for name, kind in {WARM: "linear", **{kind: kind for kind in MATCHERS}}.items():
        matchers[name] = new_matcher(kind, crops.shape[1], seed=study.matching.seed)
        questions = None if name == WARM else (crops, hard)
        train_matcher(matchers[name], (crops, hard[:, 0]), questions, **settings)
    return matchers


def blind_scorers(study: Capabilities, clip: Clip, scenes: Sequence[Scene], cue: str) -> dict[str, Tensor]:
    """For each subset the ``blind_weights`` [D] learned from questions about the first ``n_blind_scenes`` of ``scenes``."""
    first = scenes[: study.n_blind_scenes]
    question_embeds = embed_questions(clip, first, choose_objects(first, seed=study.seed), cue, seed=study.seed)
    return {subset: blind_weights(captions) for subset, captions in question_embeds.items()}


def read_training_scenes(params: Parameters) -> tuple[list[Scene], ImageSet]:
    """The scenes of the panoramas that models are fine-tuned on, and these panoramas, the validation panoramas among them."""
    panoramas = load_finetuning_set(params, params.finetune.image_set)
    return draw_scenes(scenes_of_training(params), len(panoramas.table)), panoramas


def scenes_of_training(params: Parameters) -> RenderedSet | None:
    """The recipe of the scenes that models are fine-tuned on; None where the pipeline does not render them."""
    return params.rendered_sets.get(Path(params.finetune.image_set).name)


if __name__ == "__main__":
    report(main, *sys.argv[1:])

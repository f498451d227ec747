"""The work of the stages that evaluate: trade-off, capabilities, matching of attributes, pretraining."""

import contextlib
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from clip360.data.image_set import ImageRecord, write_image_set
from clip360.data.prompts import prompt
from clip360.evaluation.capabilities import embed_questions
from clip360.evaluation.matching import MATCHERS, new_matcher
from clip360.evaluation.pretraining_evaluation import evaluate_pretraining as evaluate_on_views
from clip360.evaluation.pretraining_evaluation import scene_category_phrases
from clip360.evaluation.tradeoff import tradeoff_measurements, tradeoff_views
from clip360.finetune.methods import find_method
from clip360.geometry.views import between_fractions, perspective_view, shift_fractions
from clip360.models.clip import Clip
from clip360.names import PERSPECTIVE
from clip360.scoring.embedding import embed_texts
from clip360.scoring.shifts import MIRROR, embed_distinct
from clip360.world.attribute_questions import choose_objects
from clip360.world.vocabulary import COLOURS, SHAPES
from pipeline.capabilities import embed_crops, embed_views, evaluate_image_set, object_yaws
from pipeline.categories import category_phrases, read_categories
from pipeline.match_attributes import embed_pairs, scenes_of_training
from pipeline.parameters import Parameters
from pipeline.plan.context import SAMPLE, Context
from pipeline.plan.networks import FLOAT
from pipeline.plan.rehearsal import WIDTH, GreyPanoramas, Rehearsal
from pipeline.plan.training import attached
from pipeline.plan.work import Work, extrapolate
from pipeline.scenes import draw_scenes, read_scenes


class Evaluated(NamedTuple):
    """Trade-off and capabilities together, the capabilities alone, both without their operations, and the embedded texts."""

    work: Work
    capabilities: Work
    texts: dict[str, Tensor]


def evaluate_frozen(context: Context, model: str) -> Work:
    """Trade-off and capabilities of a frozen model; its text embeddings are kept."""
    work = context.costed(evaluated(context, model).work, model)
    embed_dim = context.models.configuration(model)[0]["embed_dim"]
    return replace(work, disk=FLOAT * embed_dim * work.text_passes)


def evaluate_finetuned(context: Context, name: str) -> Work:
    """Trade-off and capabilities of a fine-tuned model; those of the frozen one too where the run has a view of its own."""
    params, run = context.params, context.params.runs[name]
    found, method = evaluated(context, run.model, run.view), find_method(run.method)
    work = found.work if method.trains_text else replace(found.work, text_passes=0)
    if run.view not in (None, params.protocol.view):
        work += replace(found.capabilities, text_passes=0)
    if (
        method.uses_lora and not method.is_lora
    ):  # then the adapters are attached anew, and checked, where others are read as PEFT's
        network = context.models.network(run.model, context.models.view(run.model, run.view))
        work += attached(network, run.method, params.finetune.lora)
    return context.costed(work, run.model, run.view)


def evaluate_training_free(context: Context, model: str) -> Work:
    """The trade-off of all methods without training; those that use the network in the same way share their passes."""
    methods, total = context.params.adaptation.training_free[model].values(), Work()
    uses: dict[tuple, list[int]] = {}
    for method in methods:
        use = (method.view, method.canonical_yaw, method.positional_embedding, method.tokenisation, method.pooling)
        uses.setdefault(use, []).append(method.n_shifts)
    for (view, canonical_yaw, *_), n_averaged in uses.items():
        changes = {} if view is None else {"view": view}
        rehearsal = context.rehearsal(model, canonical_yaw=canonical_yaw, **changes)
        for image_set in context.sets.tradeoff_sets():
            total += context.costed(tradeoff(context, rehearsal, image_set, n_averaged), model, view)
    return total


def evaluated(context: Context, model: str, view: str | None = None) -> Evaluated:
    """Trade-off and capabilities of a model that embeds each text once."""
    rehearsal = context.rehearsal(model, keeps_texts=True, **({} if view is None else {"view": view}))
    return context.once(("evaluated", rehearsal.key), lambda: _evaluated(context, rehearsal))


def _evaluated(context: Context, rehearsal: Rehearsal) -> Evaluated:
    by_tradeoff, by_capability = Work(), Work()
    for image_set in context.sets.tradeoff_sets():
        by_tradeoff += tradeoff(context, rehearsal, image_set, [1])
    for image_set in context.sets.probe_sets(context.params.capabilities.n_images):
        by_capability += capabilities(context, rehearsal, image_set)
    return Evaluated(by_tradeoff + by_capability, by_capability, rehearsal.clip.text_cache)


def tradeoff(context: Context, rehearsal: Rehearsal, image_set: GreyPanoramas, n_averaged: Sequence[int]) -> Work:
    """The trade-off on one image set, of the means over each of ``n_averaged`` shifts."""
    params, clip, few = context.params, rehearsal.clip, image_set.head(SAMPLE)
    n_shifts = params.visual_probe.n_shifts
    fractions = sorted([*shift_fractions(n_shifts), *between_fractions(n_shifts)])
    control_view = perspective_view(**params.textual_probe.control_view.model_dump())
    views = tradeoff_views(clip, fractions, control_view=control_view, n_averaged=n_averaged)
    with rehearsal.counted(few) as images:
        embed_distinct(clip, few, views, batch_size=SAMPLE)
    embeds = torch.ones(len(image_set.table), WIDTH)
    with rehearsal.counted() as texts:
        for _ in n_averaged:
            tradeoff_measurements(
                clip,
                image_set,
                {key: embeds for key in (*(("shift", x) for x in (0.0, *fractions)), MIRROR, PERSPECTIVE)},
                generic_cue=params.textual_probe.generic_cues[0],
                labels=read_categories(params, image_set),
                classes=category_phrases(params, image_set),
            )
    return images[0] * (len(image_set.table) / SAMPLE) + texts[0]


def capabilities(context: Context, rehearsal: Rehearsal, image_set: GreyPanoramas) -> Work:
    """All capabilities on one image set; where its scenes are known, their questions are drawn as the stage draws them."""
    params = context.params

    def measured(n_images: int, clip: Clip) -> Work:
        first = image_set.head(n_images)
        with rehearsal.counted(first) as found:
            list(evaluate_image_set(params, clip, first))
        return found[0]

    n = len(image_set.table)
    if image_set.name not in params.crop_or_model.scenes:
        # Each with texts of its own, so that the second does not find those of the first.
        small, large = (
            measured(k * SAMPLE, replace(rehearsal.clip, text_cache=dict(rehearsal.clip.text_cache))) for k in (1, 2)
        )
        return extrapolate(small, large, n_small=SAMPLE, n_large=2 * SAMPLE, n=n)
    study = params.capabilities.viewpoints
    n_offset = study.n_images * (1 + len(study.distances))
    with grey_viewpoints(params, image_set.name):
        return measured(n, rehearsal.clip) + Work(panoramas=n_offset, decoded=n_offset * 2 * study.height**2)


@contextlib.contextmanager
def grey_viewpoints(params: Parameters, name: str) -> Iterator[None]:
    """A temporary working directory with grey panoramas where the stage expects the scenes from other viewpoints."""
    study = params.capabilities.viewpoints
    grey = torch.full((3, study.height, 2 * study.height), 128, dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for distance in (0.0, *study.distances):
            records = [ImageRecord(f"{k:03d}.jpg", grey, "grey", "photo") for k in range(study.n_images)]
            write_image_set(params.results / "viewpoints" / name / f"{distance:g}", records)
        yield


def match_attributes(context: Context, model: str) -> Work:
    """Crops and questions of all objects of the panoramas for fine-tuning, or their captions, and heads that are trained on them."""
    params, study, cue = context.params, context.params.capabilities, context.params.textual_probe.generic_cues[0]
    rehearsal = context.rehearsal(model)
    clip = replace(
        rehearsal.clip, text_cache=dict(evaluated(context, model).texts)
    )  # the frozen model has embedded them
    panoramas = context.sets.finetuning_set()
    if scenes_of_training(params) is None:
        return match_captions(context, model, rehearsal, panoramas)
    scenes = draw_scenes(params.rendered_sets[panoramas.name], len(panoramas.table))
    objects = [k for scene in scenes for k in range(len(scene.objects))]
    scene_of_crop = [scene for scene in scenes for _ in scene.objects]
    all_objects = [range(len(scene.objects)) for scene in scenes]
    with rehearsal.counted(panoramas) as crops:
        embed_crops(params, clip, panoramas, object_yaws(scenes, all_objects))
    with rehearsal.counted() as texts:
        embed_questions(clip, scene_of_crop, objects, cue, seed=study.seed, subsets=["hard"])
        first = scenes[: study.n_blind_scenes]
        embed_questions(clip, first, choose_objects(first, seed=study.seed), cue, seed=study.seed)
    work = crops[0] + texts[0]
    for image_set in context.sets.probe_sets(study.n_images):
        if known := read_scenes(params, image_set):
            indices = choose_objects(known, seed=study.seed)
            with rehearsal.counted(image_set) as found:
                embed_crops(params, clip, image_set, object_yaws(known, [[k] for k in indices]))
                embed_questions(clip, known, indices, cue, seed=study.seed)
                embed_views(params, clip, image_set)
                embed_texts(clip, [prompt(cue, caption) for caption in image_set.table.caption])
            work += found[0]
    return context.costed(work + Work(head_steps=head_steps(context, len(objects))), model)


def match_captions(context: Context, model: str, rehearsal: Rehearsal, panoramas: GreyPanoramas) -> Work:
    """Perspective views and captions, of which the frozen model has embedded those of the image sets."""
    params, cue, work = context.params, context.params.textual_probe.generic_cues[0], Work()
    for image_set in (panoramas, *context.sets.probe_sets(params.capabilities.n_images)):
        few = image_set.head(SAMPLE)
        with rehearsal.counted(few) as found:
            embed_pairs(params, replace(rehearsal.clip, text_cache={}), few, cue)
        work += replace(found[0], text_passes=0) * (len(image_set.table) / SAMPLE)
    steps = head_steps(context, len(panoramas.table), phases=1)
    return context.costed(work + Work(head_steps=steps), model)


def head_steps(context: Context, n_crops: int, *, phases: int = 2) -> int:
    """Training steps of all matchers, in each phase; of two, the linear one has the first a second time."""
    study = context.params.capabilities.matching
    trained = [kind for kind in MATCHERS if list(new_matcher(kind, 4, seed=0).parameters())]
    trainings = phases * len(trained) + (phases - 1)
    return trainings * study.epochs * math.ceil((n_crops - study.n_validation) / study.batch_size)


def evaluate_pretraining(context: Context) -> Work:
    """The held-out views of all trained models."""
    study, total = context.params.training_pictures, Work()
    for model in context.params.pretraining.models:
        n, rehearsal = study.n_held_out, context.rehearsal(model)
        categories = list(scene_category_phrases())
        rows = [(categories[k % len(categories)], list(COLOURS)[0], list(SHAPES)[k % len(SHAPES)]) for k in range(n)]
        labels = pd.DataFrame(rows, columns=["scene_category", "colour", "shape"])
        images = torch.zeros(n, 3, study.size, study.size, dtype=torch.uint8)
        with rehearsal.counted() as found:
            evaluate_on_views(rehearsal.clip, images, [f"view {k}" for k in range(n)], labels)
        total += context.costed(found[0], model)
    return total

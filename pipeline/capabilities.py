"""The capabilities of a model: zero-shot classification, retrieval, fine-grained discrimination, viewpoint consistency.

lib/evaluation/capabilities.py describes the columns.
"""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd
from torch import Tensor

from clip360.data.image_set import ImageSet, load_image_set
from clip360.evaluation.capabilities import (
    Evaluation,
    captions_of,
    classify_categories,
    embed_questions,
    fine_grained_discrimination,
    retrieval,
    viewpoint_consistency,
    zero_shot_classification,
)
from clip360.geometry.crops import crops
from clip360.geometry.views import Shift, perspective_view, shift_fractions
from clip360.models.clip import Clip
from clip360.names import CROP, PANORAMA, PERSPECTIVE
from clip360.scoring.embedding import embed_images
from clip360.scoring.shifts import embed_distinct
from clip360.world.attribute_questions import choose_objects
from clip360.world.scene import Scene
from pipeline.categories import category_phrases, read_categories
from pipeline.inputs import load_probe_set
from pipeline.parameters import Parameters
from pipeline.scenes import read_scenes


def evaluate_capabilities(params: Parameters, clip: Clip) -> Iterator[pd.DataFrame]:
    """Measurements of all capabilities on the first images of every image set."""
    for name in params.image_sets:
        yield from evaluate_image_set(params, clip, load_probe_set(params, name).head(params.capabilities.n_images))


def evaluate_image_set(params: Parameters, clip: Clip, image_set: ImageSet) -> Iterator[pd.DataFrame]:
    """Measurements of all capabilities on one image set; where its scenes are unknown, of those that need none, or the category alone."""
    study, table, generic_cues = params.capabilities, image_set.table, params.textual_probe.generic_cues
    format_cues = table.cue if "cue" in table else pd.Series(generic_cues[0], index=table.index)
    cues = {PANORAMA: list(dict.fromkeys(format_cues)), PERSPECTIVE: generic_cues, CROP: generic_cues}
    scenes, evaluation = read_scenes(params, image_set), Evaluation(clip, image_set.name, table.image)
    categories, phrases = read_categories(params, image_set), category_phrases(params, image_set)

    image_embeds, shifted = embed_views(params, clip, image_set, shift_fractions(params.visual_probe.n_shifts))
    captions = captions_of(scenes, table.caption, captions_per_image=study.captions_per_image, seed=study.seed)
    cue_of_image = {PANORAMA: format_cues, PERSPECTIVE: [generic_cues[0]] * len(table)}
    yield retrieval(evaluation, image_embeds, captions, cue_of_image, shifted)
    first_cue = cues[PANORAMA][0]
    yield viewpoint_consistency(evaluation, PANORAMA, "shift_consistency", shifted, categories, first_cue, phrases)
    if categories and not scenes:
        yield classify_categories(evaluation, image_embeds, categories, phrases, cues)
    if scenes:
        objects = choose_objects(scenes, seed=study.seed)
        image_embeds[CROP] = embed_crops(params, clip, image_set, object_yaws(scenes, [[k] for k in objects]))
        yield zero_shot_classification(evaluation, image_embeds, scenes, objects, cues)
        question_embeds = embed_questions(clip, scenes, objects, generic_cues[0], seed=study.seed)
        with_object = {view: image_embeds[view] for view in (PANORAMA, CROP)}
        yield fine_grained_discrimination(evaluation, with_object, question_embeds)
        first_cues = {view: cues[view][0] for view in (PANORAMA, PERSPECTIVE)}
        yield from evaluate_offsets(params, clip, image_set.name, categories, first_cues)


def embed_views(
    params: Parameters, clip: Clip, image_set: ImageSet, fractions: Sequence[float] = ()
) -> tuple[dict[str, Tensor], dict[float, Tensor]]:
    """Embeddings [N, D] of the panoramas and of a perspective view of each, by view; and of shifted panoramas, by degrees.

    ``fractions`` are the shifts, of the width; the unshifted panoramas are the entry 0.0 of the second.
    """
    control_view = perspective_view(**params.textual_probe.control_view.model_dump())
    views = {PERSPECTIVE: control_view, **{360 * fraction: Shift(fraction) for fraction in (0.0, *fractions)}}
    shifted = embed_distinct(clip, image_set, views, batch_size=params.compute.batch_size)
    perspective_embeds = shifted.pop(PERSPECTIVE)
    return {PANORAMA: shifted[0.0], PERSPECTIVE: perspective_embeds}, shifted


def object_yaws(scenes: Sequence[Scene], objects: Sequence[Sequence[int]]) -> list[list[float]]:
    """The yaws, in degrees, of the given objects of each scene."""
    return [[scene.objects[k].azimuth for k in indices] for scene, indices in zip(scenes, objects, strict=True)]


def embed_crops(params: Parameters, clip: Clip, image_set: ImageSet, yaws: Sequence[Sequence[float]]) -> Tensor:
    """Embeddings [total, D] of the crops of each panorama at its ``yaws`` in degrees, one after the other."""
    batches = crops(image_set.batches(params.compute.batch_size), yaws, **params.capabilities.crop.model_dump())
    return embed_images(clip, batches, {CROP: lambda images: images}, total=sum(map(len, yaws)))[CROP]


def evaluate_offsets(
    params: Parameters, clip: Clip, image_set: str, categories: Sequence[str], cues: Mapping[str, str]
) -> Iterator[pd.DataFrame]:
    """Viewpoint consistency under camera offsets: the scenes of an image set, rendered from cameras at several distances."""
    study, views = params.capabilities.viewpoints, (PANORAMA, PERSPECTIVE)
    by_view: dict[str, dict[float, Tensor]] = {view: {} for view in views}
    images: Sequence[str] = []
    for distance in (0.0, *study.distances):
        rendered = load_image_set(params.results / "viewpoints" / image_set / f"{distance:g}")
        images, (image_embeds, _) = rendered.table.image, embed_views(params, clip, rendered)
        for view in views:
            by_view[view][distance] = image_embeds[view]
    evaluation, categories = Evaluation(clip, image_set, images), categories[: len(images)]
    for view in views:
        yield viewpoint_consistency(evaluation, view, "offset_consistency", by_view[view], categories, cues[view])

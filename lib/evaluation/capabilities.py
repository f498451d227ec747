"""Capabilities of a model on an image set: zero-shot classification, retrieval, fine-grained discrimination, viewpoint consistency.

All functions return measurements in long form, one row for each image and measure, with the columns model, image_set, image,
measure (rank, confidence, ...), condition, level (NaN, degrees or metres), view, value, task and label (the right class, the
subset of a question, or the number of a caption).
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn

from clip360.data.prompts import prompt
from clip360.evaluation.attributes import true_rank
from clip360.evaluation.classification import answers, class_scores, embed_classes, presence
from clip360.evaluation.pretraining_evaluation import scene_category_phrases
from clip360.evaluation.retrieval import own_rank, ranks, ranks_of_several, worst_shift_hit
from clip360.models.clip import Clip
from clip360.names import CROP, PANORAMA, PERSPECTIVE, UNSHIFTED
from clip360.scoring.embedding import embed_texts
from clip360.world.attribute_questions import SUBSETS, ask
from clip360.world.captions import scene_caption
from clip360.world.scene import Scene
from clip360.world.vocabulary import COLOURS, SHAPES

# The condition of each task on viewpoint consistency; levels are degrees of a shift, metres of a camera offset.
CONSISTENCY_CONDITIONS = {"shift_consistency": "shift", "offset_consistency": "camera_offset"}


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of one model on one image set.

    ``images`` are the names of the N images, in the order of all embeddings [N, D] that its functions take.
    """

    clip: Clip
    image_set: str
    images: Sequence[str]

    def measurements(
        self,
        view: str,
        task: str,
        measure: str,
        values: Tensor | Sequence[float],
        *,
        condition: str = UNSHIFTED,
        level: float = math.nan,
        label: str | Sequence[str] = "",
    ) -> pd.DataFrame:
        """One row for each of ``values`` [N], one value an image, under one view, task, measure and condition."""
        return pd.DataFrame(
            {
                "model": self.clip.name,
                "image_set": self.image_set,
                "image": list(self.images),
                "measure": measure,
                "condition": condition,
                "level": level,
                "view": view,
                "value": torch.as_tensor(values).double().numpy(),
                "task": task,
                "label": label,
            }
        )

    def classification_measurements(
        self,
        view: str,
        task: str,
        image_embeds: Tensor,
        class_embeds: Tensor,
        right: Sequence[str],
        names: Sequence[str],
    ) -> pd.DataFrame:
        """Zero-shot classification of image embeddings [N, D] by an ensemble of prompts and by the first prompt alone.

        ``class_embeds`` are as in ``class_scores``; ``right`` are the right classes [N] among ``names`` [C]. Measures: rank and
        confidence with all prompts, rank_single with the first.
        """
        labels = torch.tensor([list(names).index(name) for name in right])
        scale = self.clip.network.logit_scale.exp().item()
        ensemble, single = (
            answers(class_scores(image_embeds, prompts), labels, list(names), scale=scale)
            for prompts in (class_embeds, class_embeds[..., :1, :])
        )
        values = {"rank": ensemble["rank"], "confidence": ensemble.confidence, "rank_single": single["rank"]}
        return pd.concat([self.measurements(view, task, name, x, label=list(right)) for name, x in values.items()])


def zero_shot_classification(
    evaluation: Evaluation,
    image_embeds: Mapping[str, Tensor],
    scenes: Sequence[Scene],
    object_indices: Sequence[int],
    cues: Mapping[str, Sequence[str]],
) -> pd.DataFrame:
    """Zero-shot classification of rendered panoramas, their perspective views and crops.

    ``image_embeds`` maps each view to unit embeddings [N, D] of the images of N ``scenes``; a crop shows the object of its scene
    that ``object_indices`` [N] names. ``cues`` maps each view to the cues of its prompts. Tasks: ``scene_category`` of
    panoramas and perspective views; ``presence`` of each shape in a panorama (area under the ROC curve); ``shape`` of the object
    in its crop; ``colour`` of the object, its shape given, in its crop and in the panorama.
    """
    targets = [scene.objects[k] for scene, k in zip(scenes, object_indices, strict=True)]
    parts = []
    for view, embeds in image_embeds.items():
        classes = partial(embed_classes, evaluation.clip, templates=[partial(prompt, cue) for cue in cues[view]])
        classify = partial(evaluation.classification_measurements, view)
        shapes = classes([f"a {shape}" for shape in SHAPES])
        if view == CROP:
            parts.append(classify("shape", embeds, shapes, [target.shape for target in targets], SHAPES))
        else:
            phrases, categories = scene_category_phrases(), [scene.category for scene in scenes]
            parts.append(classify("scene_category", embeds, classes(list(phrases.values())), categories, phrases))
        if view == PANORAMA:
            present = [[any(x.shape == shape for x in scene.objects) for shape in SHAPES] for scene in scenes]
            areas = presence(class_scores(embeds, shapes), torch.tensor(present))
            parts.append(evaluation.measurements(view, "presence", "auc", areas))
        if view in (CROP, PANORAMA):
            # In order of appearance: the order of a set differs between processes, and with it the batches of texts.
            occurring = dict.fromkeys(target.shape for target in targets)
            colours_of = {shape: classes([f"a {colour} {shape}" for colour in COLOURS]) for shape in occurring}
            own_classes = torch.stack([colours_of[target.shape] for target in targets])
            parts.append(classify("colour", embeds, own_classes, [target.colour for target in targets], COLOURS))
    return pd.concat(parts, ignore_index=True)


def classify_categories(
    evaluation: Evaluation,
    image_embeds: Mapping[str, Tensor],
    categories: Sequence[str],
    phrases: Mapping[str, str],
    cues: Mapping[str, Sequence[str]],
) -> pd.DataFrame:
    """Zero-shot classification of the category of each of N images (task ``scene_category``), of whose scene nothing else is known.

    ``image_embeds`` maps each view to unit embeddings [N, D], ``cues`` to the cues of its prompts; ``phrases`` maps each class to its words.
    """
    parts = []
    for view, embeds in image_embeds.items():
        templates = [partial(prompt, cue) for cue in cues[view]]
        classes = embed_classes(evaluation.clip, list(phrases.values()), templates)
        parts.append(
            evaluation.classification_measurements(view, "scene_category", embeds, classes, categories, list(phrases))
        )
    return pd.concat(parts, ignore_index=True)


def captions_of(
    scenes: Sequence[Scene] | None, captions: Sequence[str], *, captions_per_image: int, seed: int
) -> list[list[str]]:
    """Captions for each image: its own of ``captions`` and more of its scene; its own alone where ``scenes`` is None."""
    if scenes is None:
        return [[caption] for caption in captions]
    rng = random.Random(f"{seed}/wordings")
    return [
        [own, *(scene_caption(scene, rng) for _ in range(captions_per_image - 1))]
        for own, scene in zip(captions, scenes, strict=True)
    ]


def retrieval(
    evaluation: Evaluation,
    image_embeds: Mapping[str, Tensor],
    captions: Sequence[Sequence[str]],
    cues: Mapping[str, Sequence[str]],
    shifted: Mapping[float, Tensor],
) -> pd.DataFrame:
    """Retrieval in both directions, and whether a panorama retrieves its first caption at every shift.

    ``image_embeds`` maps each view to unit embeddings [N, D]; ``captions`` holds the same number of captions for each of the N
    images; ``cues`` maps each view to the cue [N] of each image; ``shifted`` maps a shift in degrees to embeddings [N, D] of the
    panoramas, 0.0 for the unshifted ones. Tasks: ``image_to_text``, ``text_to_image`` (measure rank; label ``caption k``),
    ``worst_shift_hit`` and ``hit`` (measure hit, 1 or 0).
    """
    parts, n_captions = [], len(captions[0])
    owners = torch.arange(len(captions)).repeat_interleave(n_captions)
    for view, view_cues in cues.items():
        texts = [prompt(cue, caption) for cue, own in zip(view_cues, captions, strict=True) for caption in own]
        text_embeds = embed_texts(evaluation.clip, texts)
        to_text, to_image = ranks_of_several(image_embeds[view], text_embeds, owners)
        parts.append(evaluation.measurements(view, "image_to_text", "rank", to_text))
        for k, rank in enumerate(to_image.view(-1, n_captions).T):
            parts.append(evaluation.measurements(view, "text_to_image", "rank", rank, label=f"caption {k + 1}"))
        if view == PANORAMA:
            first = text_embeds[::n_captions]
            at_all_shifts = worst_shift_hit(shifted, first)
            parts.append(evaluation.measurements(view, "worst_shift_hit", "hit", at_all_shifts, condition="shift"))
            parts.append(evaluation.measurements(view, "hit", "hit", ranks(shifted[0.0], first) == 1))
    return pd.concat(parts, ignore_index=True)


def fine_grained_discrimination(
    evaluation: Evaluation, image_embeds: Mapping[str, Tensor], question_embeds: Mapping[str, Tensor]
) -> pd.DataFrame:
    """Rank of the true caption of an object among false ones, by cosine (task ``attributes``, label: the subset).

    ``image_embeds`` maps each view to unit embeddings [N, D]; ``question_embeds`` maps each subset to those of the captions,
    [N, 1 + K, D], see ``embed_questions``.
    """
    return pd.concat(
        [
            evaluation.measurements(
                view, "attributes", "rank", true_rank((captions @ embeds[..., None]).squeeze(-1)), label=subset
            )
            for subset, captions in question_embeds.items()
            for view, embeds in image_embeds.items()
        ],
        ignore_index=True,
    )


def embed_questions(
    clip: Clip,
    scenes: Sequence[Scene],
    object_indices: Sequence[int],
    cue: str,
    *,
    seed: int,
    subsets: Sequence[str] = tuple(SUBSETS),
) -> dict[str, Tensor]:
    """Unit embeddings [N, 1 + K, D], by subset, of the captions about one object of each of N scenes, the true one first."""
    question_embeds = {}
    for subset in subsets:
        questions = ask(scenes, object_indices, subset, seed=seed)
        texts = [prompt(cue, caption) for captions in questions for caption in captions]
        question_embeds[subset] = embed_texts(clip, texts).unflatten(0, (len(questions), -1))
    return question_embeds


def matching(
    evaluation: Evaluation,
    matchers: Mapping[str, nn.Module],
    crop_embeds: Tensor,
    question_embeds: Mapping[str, Tensor],
    perspective_embeds: Tensor,
    text_embeds: Tensor,
) -> pd.DataFrame:
    """Ranks by trained heads instead of the cosine; the measure is the name of the head, a key of ``matchers``.

    Task ``attributes``: rank of the true caption of each crop [N, D] among those of ``question_embeds`` (by subset, as in
    ``embed_questions``). Tasks ``image_to_text`` and ``text_to_image``: perspective views [N, D] and their texts [N, D].
    """
    own, parts = torch.arange(len(text_embeds)), []
    with torch.no_grad():
        for name, matcher in matchers.items():
            for subset, captions in question_embeds.items():
                rank = true_rank(matcher(crop_embeds, captions))
                parts.append(evaluation.measurements(CROP, "attributes", name, rank, label=subset))
            scores = matcher(perspective_embeds, text_embeds)
            parts.append(evaluation.measurements(PERSPECTIVE, "image_to_text", name, own_rank(scores, own)))
            parts.append(evaluation.measurements(PERSPECTIVE, "text_to_image", name, own_rank(scores.T, own)))
    return pd.concat(parts, ignore_index=True)


def viewpoint_consistency(
    evaluation: Evaluation,
    view: str,
    task: str,
    image_embeds: Mapping[float, Tensor],
    scene_categories: Sequence[str] | None,
    cue: str,
    phrases: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """How an embedding changes with the viewpoint, and whether the scene and its category are still recognised.

    ``task`` is a key of CONSISTENCY_CONDITIONS; ``image_embeds`` maps the level (degrees of a shift, metres of a camera offset)
    to unit embeddings [N, D]; ``scene_categories`` [N], where they are known, are classified with the prompt of ``cue``, among the keys of
    ``phrases``, which maps them to their words (None: those of the rendered world).
    Measures: ``cosine`` with the same image at level 0; ``scene_rank``, the rank of that image among all images at level 0 by
    cosine, which does not depend on how similar different images are; ``rank`` of the right scene category.
    """
    phrases = phrases or scene_category_phrases()
    classes = embed_classes(evaluation.clip, list(phrases.values()), [partial(prompt, cue)])
    add = partial(evaluation.measurements, view, task, condition=CONSISTENCY_CONDITIONS[task])
    parts = []
    for level, embeds in image_embeds.items():
        cosines = embeds @ image_embeds[0.0].T
        parts.append(add("cosine", (embeds * image_embeds[0.0]).sum(-1), level=level))
        parts.append(add("scene_rank", own_rank(cosines, torch.arange(len(embeds))), level=level))
        if scene_categories is not None:
            labels = torch.tensor([list(phrases).index(name) for name in scene_categories])
            parts.append(add("rank", own_rank(class_scores(embeds, classes), labels), level=level))
    return pd.concat(parts, ignore_index=True)

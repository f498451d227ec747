"""The trade-off between stability and capability of a model: shifts, retrieval, zero-shot classification.

The image sets are those of the probes and the set that models are fine-tuned on: its training panoramas, as many as its
validation panoramas, and these.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby

import pandas as pd

from clip360.data.image_set import ImageSet
from clip360.evaluation.tradeoff import average_shifts, tradeoff_measurements, tradeoff_views
from clip360.geometry.views import between_fractions, perspective_view, shift_fractions
from clip360.models.clip import Clip
from clip360.models.variants import variant
from clip360.names import PERSPECTIVE
from clip360.scoring.shifts import MIRROR, embed_distinct
from pipeline.categories import category_phrases, read_categories
from pipeline.finetuned import protocol_changes, read_training_panoramas
from pipeline.inputs import load_probe_set, read_model
from pipeline.parameters import Parameters

# The parameters of a training-free method that say how the network is used; their order is part of every result.
NETWORK_USE = ("view", "positional_embedding", "canonical_yaw", "tokenisation", "pooling")


def measure_training_free(params: Parameters, model: str) -> Iterator[pd.DataFrame]:
    """Measurements of a frozen model with every method of adaptation.training_free.

    Methods that use the network in the same way share its embeddings.
    """
    if model not in params.adaptation.training_free:
        models = params.adaptation.training_free
        choice = f"choose one of {', '.join(models)}" if models else "this profile has no training-free methods"
        raise ValueError(f"adaptation.training_free in params.yaml has no model {model}: {choice}")
    methods = params.adaptation.training_free[model]

    def network_use(name: str) -> tuple[str | bool | None, ...]:
        return tuple(getattr(methods[name], key) for key in NETWORK_USE)

    for use, names in groupby(sorted(methods, key=lambda x: str(network_use(x))), network_use):
        view, positional_embedding, canonical_yaw, tokenisation, pooling = use
        clip = replace(read_model(params, model, **protocol_changes(view)), canonical_yaw=canonical_yaw)
        clip = variant(clip, positional_embedding=positional_embedding, tokenisation=tokenisation, pooling=pooling)
        yield from measure_tradeoff(params, clip, {name: methods[name].n_shifts for name in names})


def measure_tradeoff(params: Parameters, clip: Clip, n_averaged: Mapping[str, int]) -> Iterator[pd.DataFrame]:
    """Measurements of one model under several names, each with the number of shifts whose mean embedding represents an image.

    One table for each image set and name. The shifts are those of the visual probe and those between them that no mean over equal
    steps takes in.
    """
    n_shifts = params.visual_probe.n_shifts
    fractions = sorted([*shift_fractions(n_shifts), *between_fractions(n_shifts)])
    control_view = perspective_view(**params.textual_probe.control_view.model_dump())
    views = tradeoff_views(clip, fractions, control_view=control_view, n_averaged=n_averaged.values())
    for image_set in read_image_sets(params):
        single_pass = embed_distinct(clip, image_set, views, batch_size=params.compute.batch_size)
        categories, phrases = read_categories(params, image_set), category_phrases(params, image_set)
        for name, n in n_averaged.items():
            embeds = single_pass if n == 1 else average_shifts(single_pass, fractions, n_averaged=n)
            embeds = {
                key: embeds[key] for key in (("shift", 0.0), *(("shift", x) for x in fractions), MIRROR, PERSPECTIVE)
            }
            yield tradeoff_measurements(
                replace(clip, name=name),
                image_set,
                embeds,
                generic_cue=params.textual_probe.generic_cues[0],
                labels=categories,
                classes=phrases,
            )


def read_image_sets(params: Parameters) -> Iterator[ImageSet]:
    """The image sets to probe, then panoramas that models are fine-tuned on, then those that runs are chosen by.

    Of the training panoramas as many as there are validation panoramas; all where there are none.
    """
    yield from (load_probe_set(params, name) for name in params.image_sets)
    training, validation = read_training_panoramas(params)
    yield training.head(params.finetune.n_validation or None)
    if validation:
        yield validation

"""A card as one JSON: the numbers of a model on an image set, and all that says how they were measured."""

from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import pandas as pd

from clip360.cards.cost import image_gflop, machine, parameters
from clip360.cards.inputs import view_clips
from clip360.cards.measurements import CardMeasurements
from clip360.cards.measures import MEASURES
from clip360.cards.numbers import card_numbers
from clip360.cards.protocol import FORMAT, CardProtocol, definition, definition_hash
from clip360.cards.verdict import card_verdicts, verdict_text
from clip360.data.image_set import ImageSet
from clip360.models.clip import Clip
from clip360.reports.view_protocols import protocol_hash, shift_protocol, weights_sha256
from clip360.scoring.embedding import truncated
from clip360.scoring.view_coverage import cost, sphere_fraction
from clip360.scoring.views import input_size
from clip360.stats.inference import Inference
from clip360.stats.measurements import select

LIBRARIES = ("clip360", "torch", "open_clip_torch")


def make_card(
    clip: Clip,
    image_set: ImageSet,
    protocol: CardProtocol,
    measured: CardMeasurements,
    *,
    inference: Inference,
    wide: Clip | None = None,
    left_out: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The card of a model on an image set, as card.json holds it; docs/cards.md says what each key is.

    ``left_out`` says of each view mode that was not measured why.
    """
    numbers = card_numbers(measured, protocol, inference=inference)
    views = list(measured.panoramas_per_second)
    clips = view_clips(clip, views, wide)
    how, texts = definition(protocol, clip.protocol, inference), image_set.texts
    too_long = set(truncated(clip, texts))
    verdicts = card_verdicts(numbers, inference=inference)
    reasons = dict(left_out or {}) | ({"rolls": measured.no_rolls} if measured.no_rolls else {})
    return {
        "format": FORMAT,
        "model": {
            "name": clip.name,
            "weights_sha256": weights_sha256(clip),
            "image_tower": type(clip.network.visual).__name__,
            "input": list(input_size(clip)),
            "context_length": clip.network.context_length,
            "parameters": parameters(clip),
        },
        "image_set": {
            "name": image_set.name,
            "sha256": measured.image_set_sha256,
            "n": len(texts),
            "cues": list(dict.fromkeys(image_set.table.cue)),
            "n_truncated": sum(text in too_long for text in texts),
            "n_repeated_texts": int(pd.Series(texts).duplicated(keep=False).sum()),
        },
        "protocol": {"hash": definition_hash(how), "definition": how},
        "machine": machine(clip),
        "versions": {name: version(name) for name in LIBRARIES},
        "verdict": verdict_text(verdicts, numbers, inference=inference),
        "verdicts": verdicts,
        "measures": {name: asdict(measure) for name, measure in MEASURES.items()},
        "views": {view: _view(clips[view], protocol, measured, numbers) for view in views},
        "left_out": reasons,
    }


def _view(clip: Clip, protocol: CardProtocol, measured: CardMeasurements, numbers: pd.DataFrame) -> dict[str, Any]:
    """What a card says of one view mode."""
    scores = select(measured.scores[measured.scores["view"] == clip.view], "clip_score", "shift").value
    camera = {"n_views": clip.protocol.n_views, "fov": clip.protocol.view_fov}
    return {
        "hash": protocol_hash(clip, shift_protocol(clip, protocol.n_shifts)),
        "sphere_fraction": sphere_fraction(clip.view, **camera),
        "passes": cost(clip)["passes"],
        "gflop": image_gflop(clip),
        "panoramas_per_second": measured.panoramas_per_second[clip.view],
        "negative_fraction": float((scores < 0).mean()),
        "numbers": {row.measure: _number(row) for row in numbers[numbers["view"] == clip.view].itertuples()},
    }


def _number(row: Any) -> dict[str, Any]:
    if row.undefined:
        return {"n": row.n, "value": None, "low": None, "high": None, "undefined": row.undefined}
    return {"n": row.n, "value": row.value, "low": row.value_low, "high": row.value_high}

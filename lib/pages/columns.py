"""What the columns of scores mean, in the words of a page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clip360.geometry.seam_measures import VISIBLE


@dataclass(frozen=True)
class Column:
    """A column of scores.

    label        a few words for a head
    definition   one sentence
    fault        of a measure of faults: what shows above ``threshold``
    threshold    of a measure of faults, else None
    unit         ``°`` or nothing
    """

    label: str
    definition: str
    fault: str = ""
    threshold: float | None = None
    unit: str = ""


SCORES = {
    "score": Column("Score", "CLIP score of the panorama as it is, 100 · cos(image, text)."),
    "robust": Column("Robust", "Mean score over a whole turn; it does not depend on where the panorama is cut open."),
    "spread": Column("Spread", "Standard deviation of the score over a whole turn; lower is more stable."),
    "worst": Column("Worst", "Lowest score over a whole turn."),
    "worst_yaw": Column("Worst yaw", "Yaw of the camera that sees the lowest score, to the right.", unit="°"),
}
FAULTS = {
    "seam": Column("Seam", "How visible the line is where the right edge meets the left.", "the seam shows as a line"),
    "seam_blend": Column(
        "Seam blend",
        "How much the seam looks like a blurred strip between two contents.",
        "the seam shows as a blurred strip",
    ),
    "discontinuity": Column(
        "Discontinuity", "Discontinuity score (DS, arXiv 2407.18207) at the seam.", "the edge at the seam is unusual"
    ),
    "poles": Column(
        "Poles", "How much the picture varies around a pole, relative to other points.", "a pole is distorted"
    ),
    "cube_edges": Column(
        "Cube edges",
        "How visible the edges are of a cube whose faces look along the axes.",
        "the edges of a cube show",
    ),
}
LOWER_IS_BETTER = {"spread", *FAULTS}


def describe_columns(names: Sequence[str], protocols: Mapping[str, Mapping[str, Any]]) -> dict[str, Column]:
    """The columns of a table of scores by name; ``protocols`` are those of summary.json, whose names are columns too.

    >>> describe_columns(["seam"], {})["seam"].threshold
    4.0
    """
    return {name: _describe(name, protocols.get(name, {})) for name in names}


def _describe(name: str, protocol: Mapping[str, Any]) -> Column:
    if name in FAULTS:
        column = FAULTS[name]
        return Column(column.label, column.definition, column.fault, VISIBLE[name])
    if name in SCORES:
        return SCORES[name]
    return Column(name, f"Score of {protocol['shows']}." if "shows" in protocol else "")

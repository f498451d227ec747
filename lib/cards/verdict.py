"""The verdict of a card in words: what the intervals of its numbers decide, and what they leave open."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from clip360.cards.protocol import CROP, SQUASH
from clip360.stats.claims import HOLDS, REFUTED, UNDECIDED, Claim, judge
from clip360.stats.inference import Inference

TABLE = "numbers"
EQUAL = "equal"  # a verdict: the number is the limit itself, in every resample


@dataclass(frozen=True)
class Statement:
    """What a number of a card decides, in three forms or four.

    measure, view   the number
    unit            what it is, after its value
    holds           a sentence that holds if the interval lies ``above`` and ``below`` these numbers
    otherwise       one that holds if it lies on the other side
    question        what is open if it does neither, after "not decided:"
    equal           one that holds if the number and its interval are the limit itself, where that can be
    """

    measure: str
    view: str
    unit: str
    holds: str
    otherwise: str
    question: str
    above: float = -math.inf
    below: float = math.inf
    equal: str = ""

    @property
    def claim(self) -> Claim:
        """The statement as ``stats.claims.judge`` takes it."""
        where = f"measure == '{self.measure}' and view == '{self.view}'"
        name, by = f"{self.measure} {self.view}", ("measure", "view")
        return Claim(name, self.holds, TABLE, "value", self.unit, where, by, self.above, self.below)

    def sentence(self, verdict: str) -> str:
        """The form for a verdict of ``card_verdicts``."""
        return {HOLDS: self.holds, REFUTED: self.otherwise, EQUAL: self.equal}.get(verdict, self.question)


STATEMENTS = (
    Statement(
        "cue_contrast", CROP, "points",
        "A format cue raises the score of panoramas more than that of perspective views of the same pictures",
        "A format cue raises the score of panoramas less than that of perspective views of the same pictures",
        "whether a format cue raises the score of panoramas more than that of perspective views",
        above=0.0,
        equal="In the median a format cue raises the score of panoramas exactly as much as that of perspective views",
    ),
    Statement(
        "instability", CROP, "times the differences between panoramas",
        "Under the centre crop the score changes with the direction more than panoramas differ from each other",
        "Under the centre crop the score changes with the direction less than panoramas differ from each other",
        "whether under the centre crop the score changes with the direction more than panoramas differ",
        above=1.0,
    ),
    Statement(
        "content_fraction", CROP, "of it",
        "Under the centre crop content that enters and leaves carries most of the variance over shifts",
        "Under the centre crop the position of the same content carries most of the variance over shifts",
        "whether under the centre crop content carries most of the variance over shifts",
        above=0.5,
    ),
    Statement(
        "worst_of_beta", CROP, "times β",
        "Under the centre crop even the worst shift changes the score by less than the bound β",
        "Under the centre crop the worst shift changes the score by more than the bound β",
        "whether under the centre crop the worst shift stays below the bound β",
        below=1.0,
    ),
    Statement(
        "instability_to_crop", SQUASH, "times that of the centre crop",
        "Squashed, panoramas have scores that depend less on the direction than under the centre crop",
        "Squashed, panoramas have scores that depend more on the direction than under the centre crop",
        "whether the score of squashed panoramas depends less on the direction than under the centre crop",
        below=1.0,
        equal="Squashed, panoramas have scores that depend on the direction exactly as much as under the centre crop",
    ),
    Statement(
        "worst_of_beta", SQUASH, "times β",
        "Squashed, even the worst shift changes the score by less than the bound β",
        "Squashed, the worst shift changes the score by more than the bound β",
        "whether the worst shift of squashed panoramas stays below the bound β",
        below=1.0,
    ),
    Statement(
        "recall_gain", SQUASH, "of R@1",
        "Squashed, panoramas find their own caption more often than under the centre crop",
        "Squashed, panoramas find their own caption less often than under the centre crop",
        "whether squashed panoramas find their own caption more often than under the centre crop",
        above=0.0,
        equal="Squashed, every panorama finds its own caption exactly as often as under the centre crop",
    ),
    Statement(
        "whole_patches", SQUASH, "of the variance is left",
        "The patch grid causes part of the instability: shifts by whole patches change the score less",
        "Shifts by whole patches change the score more than shifts in general",
        "whether the patch grid causes part of the instability",
        below=1.0,
        equal="Shifts by whole patches change the score exactly as much as shifts in general",
    ),
    Statement(
        "no_columns", SQUASH, "of the variance is left",
        "The columns of the positional embedding cause part of the instability",
        "Without columns in the positional embedding the score would change more",
        "whether the columns of the positional embedding cause part of the instability",
        below=1.0,
        equal="Without columns in the positional embedding the score changes exactly as much",
    ),
    Statement(
        "closed_seam", SQUASH, "of the variance is left",
        "The seam in the positional embedding causes part of the instability",
        "With a positional embedding that closes at the seam the score would change more",
        "whether the seam in the positional embedding causes part of the instability",
        below=1.0,
        equal="With a positional embedding that closes at the seam the score changes exactly as much",
    ),
)  # fmt: skip


def card_verdicts(numbers: pd.DataFrame, *, inference: Inference) -> list[dict]:
    """What the intervals decide: a dictionary for each statement whose number is defined.

    Keys: measure, view, ``verdict`` (holds, refuted, equal or undecided), ``sentence`` and ``unit``. ``numbers`` is the table of
    ``card_numbers``.
    """
    defined = numbers[numbers.undefined == ""]
    judged = judge([statement.claim for statement in STATEMENTS], {TABLE: [defined]}, inference=inference)
    verdicts = judged.set_index("claim").verdict.to_dict()
    may_be_equal = {statement.claim.name for statement in STATEMENTS if statement.equal}
    for row in judged.itertuples():
        if row.claim in may_be_equal and row.low == row.value == row.high and row.value in (row.above, row.below):
            verdicts[row.claim] = EQUAL
    return [
        {
            "measure": statement.measure,
            "view": statement.view,
            "verdict": verdict,
            "sentence": statement.sentence(verdict),
            "unit": statement.unit,
        }
        for statement in STATEMENTS
        if (verdict := verdicts.get(statement.claim.name))
    ]


def verdict_text(verdicts: Sequence[dict], numbers: pd.DataFrame, *, inference: Inference) -> str:
    """The verdicts as a paragraph: each with its number and interval, those that are undecided at the end."""
    values = numbers.set_index(["measure", "view"])
    decided, open_questions = [], []
    for verdict in verdicts:
        row = values.loc[(verdict["measure"], verdict["view"])]
        number = f"{row.value:.2f} [{row.value_low:.2f}, {row.value_high:.2f}] {verdict['unit']}".replace("-", "−")
        text = f"{verdict['sentence']} ({number})"
        (open_questions if verdict["verdict"] == UNDECIDED else decided).append(text)
    parts = [f"{text}." for text in decided]
    if open_questions:
        parts.append(f"Not decided at {100 * (1 - inference.alpha):g} %: {'; '.join(open_questions)}.")
    return " ".join(parts) or "No number is defined: every score is the same."

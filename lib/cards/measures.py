"""What a card says: its numbers by name, each with a line that explains it."""

from dataclasses import dataclass

LOWER, HIGHER = "lower", "higher"


@dataclass(frozen=True)
class Measure:
    """A number of a card.

    label    a few words for a head
    short    one to three words for the head of a table
    unit     of the number, after it; nothing for fractions and ratios
    meaning  one or two sentences
    better   ``LOWER`` or ``HIGHER`` where one is better, else nothing
    reference  the value that a verdict compares it with, or None
    """

    label: str
    short: str
    unit: str
    meaning: str
    better: str = ""
    reference: float | None = None


CUES = {
    "cue_contrast": Measure(
        "Format-cue contrast",
        "Format cue",
        "points",
        "How much more the format cue (“360 panorama”) raises the score of a panorama than that of a perspective view of the same"
        " picture, against generic cues. Only what lies above 0 belongs to the format. Median over panoramas.",
        reference=0.0,
    ),
    "cue_gain": Measure(
        "Gain of panoramas by the format cue",
        "Gain, panoramas",
        "points",
        "Score with the format cue minus the mean score with generic cues, of panoramas. Median over panoramas.",
        reference=0.0,
    ),
    "cue_control_gain": Measure(
        "Gain of perspective views by the format cue",
        "Gain, perspective",
        "points",
        "The same on the perspective view of each panorama: what the cue's words gain on any image.",
        reference=0.0,
    ),
}
STABILITY = {
    "instability": Measure(
        "Instability under shifts",
        "Instability",
        "",
        "Standard deviation of a panorama's score over the directions in which the camera can look, over that between panoramas. 0: the"
        " score does not depend on the direction. 1: the direction changes it as much as another panorama.",
        LOWER,
        1.0,
    ),
    "instability_to_crop": Measure(
        "Instability over that of the centre crop",
        "Instability / crop",
        "",
        "Below 1, the score depends less on the direction under this view than under the centre crop, on the same panoramas.",
        LOWER,
        1.0,
    ),
    "worst_of_beta": Measure(
        "Worst shift over β",
        "Worst shift / β",
        "",
        "Median change of the score at the worst shift, over the bound β that the mirrored panoramas give. Below 1, every shift"
        " changes the score less than the paper's bound allows.",
        LOWER,
        1.0,
    ),
}
RETRIEVAL = {
    "image_to_text": Measure(
        "R@1, image to text",
        "R@1 to text",
        "",
        "Fraction of panoramas whose own caption ranks first among those of the set; mean over shifts. Ties count against the model.",
        HIGHER,
    ),
    "text_to_image": Measure(
        "R@1, text to image",
        "R@1 to image",
        "",
        "Fraction of captions whose own panorama ranks first among those of the set; mean over shifts.",
        HIGHER,
    ),
    "recall_gain": Measure(
        "R@1 minus that of the centre crop",
        "R@1 − crop",
        "",
        "Above 0, this view finds the own caption of a panorama more often than the centre crop does.",
        HIGHER,
        0.0,
    ),
}
LEVEL = {
    "score": Measure("Mean score", "Score", "points", "Mean CLIP score of the panoramas as they are."),
    "sd_over_shifts": Measure(
        "Spread over shifts",
        "Spread",
        "points",
        "Root mean square of the standard deviation of a panorama's score over shifts.",
        LOWER,
    ),
    "beta": Measure(
        "Bound β",
        "β",
        "points",
        "Upper Tukey fence of the change under the mirror: changes above it count as instability.",
    ),
}
CONTENT = {
    "content_fraction": Measure(
        "Content in the variance over shifts",
        "Content",
        "",
        "Under the centre crop a shift also changes what the model sees. This fraction of the variance is content that enters and leaves; the"
        " rest is the position of the same content.",
        reference=0.5,
    ),
}
ROLLS = {
    "whole_patches": Measure(
        "Patch grid: shifts by whole patches",
        "Patch grid",
        "",
        "Variance of the score over rolls of the input by whole patches, over that of rolls by half patches too. Below 1, part of the"
        " instability comes from the patch grid.",
        reference=1.0,
    ),
    "no_columns": Measure(
        "Position: one positional embedding for each row",
        "Columns",
        "",
        "Variance over rolls that is left where a patch does not know its column. Below 1, part of the instability comes from the learned"
        " columns.",
        reference=1.0,
    ),
    "closed_seam": Measure(
        "Seam: a positional embedding that closes",
        "Seam",
        "",
        "Variance over rolls that is left where the embedding of the last column continues that of the first. Below 1, part of the"
        " instability comes from the seam in the positions.",
        reference=1.0,
    ),
}
MEASURES = {**CUES, **STABILITY, **CONTENT, **ROLLS, **RETRIEVAL, **LEVEL}

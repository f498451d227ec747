"""Names that scores, tables and figures share."""

PANORAMA, PERSPECTIVE, CROP = "panorama", "perspective", "crop"  # kinds of pictures
TRAINING, VALIDATION, TEST = (
    "training",
    "validation",
    "test",
)  # roles of image sets: learned from, to choose by, reported
LORA = ("released", "attention")  # strategies of arXiv 2604.24642
WARM, BLIND, PROBE = "linear, warm-up only", "image-blind", "linear probe"  # beside the matchers

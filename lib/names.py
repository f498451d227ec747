"""Names that scores, tables and figures share."""

PANORAMA, PERSPECTIVE = "panorama", "perspective"  # kinds of pictures
TRAINING, VALIDATION, TEST = (
    "training",
    "validation",
    "test",
)  # roles of image sets: learned from, to choose by, reported
LORA = ("released", "attention")  # strategies of arXiv 2604.24642

"""Values of columns that several rooms write and read."""

# Column view of measurements: the whole panorama, a pinhole view of the same scene, a crop around one object.
PANORAMA, PERSPECTIVE, CROP = "panorama", "perspective", "crop"
# Column condition of measurements of an image as it is.
UNSHIFTED = "unshifted"
# Column ablation of measurements under the protocol as it is.
BASELINE = "baseline"
# Roles of image sets: a method learns from the first, is chosen by the second, and is reported on the third.
TRAINING, VALIDATION, TEST = "training", "validation", "test"
# Column image_set of numbers over all test sets together, and their role.
POOLED = "all test sets"
# The adaptation methods of arXiv 2604.24642.
LORA = ("lora_as_released", "lora_attention")
# Column measure of matching besides the matchers: the linear matcher after its warm-up alone, weights that see no image,
# and a linear classifier of the embeddings.
WARM, BLIND, PROBE = "linear, warm-up only", "image-blind", "linear probe"

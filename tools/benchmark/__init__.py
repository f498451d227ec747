"""The performance benchmark: the speed of the visual probe, of fine-tuning, of the renderer and of `clip360 score`."""

import pipeline  # noqa: F401  sets the number of threads, which must happen before torch loads

# isort: split
import clip360.models  # noqa: F401  must run before open_clip is imported

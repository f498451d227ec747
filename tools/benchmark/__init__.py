"""The performance benchmark: how fast the probe, fine-tuning, the renderer and the command for own panoramas are."""

import pipeline  # noqa: F401  sets the number of threads, before anything loads torch

# isort: split
import clip360  # noqa: F401  lets open_clip be imported by itself

"""The performance benchmark: how fast the probe, fine-tuning, the renderer and the command for own panoramas are."""

import stages  # noqa: F401  sets the number of threads, before anything loads torch

# isort: split
import lib  # noqa: F401  lets open_clip be imported by itself

"""What a CLIP can do: zero-shot classification, retrieval, fine-grained attributes, viewpoint consistency."""

import clip360.models  # noqa: F401  before anything imports torchvision

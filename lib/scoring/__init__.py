"""From panoramas and texts to embeddings and CLIP scores."""

import clip360.models  # noqa: F401  before anything imports torchvision

"""From panoramas and texts to embeddings, CLIP scores and measurements."""

import clip360.models  # noqa: F401  must run before anything imports torchvision

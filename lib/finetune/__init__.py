"""Fine-tuning a CLIP to give shifted panoramas the same score: losses, adapters, the loop (arXiv 2604.24642)."""

import clip360.models  # noqa: F401  before anything imports torchvision

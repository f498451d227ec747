"""`clip360 tune`: a CLIP fine-tuned on anyone's panoramas, as a model that open_clip loads, with what it gained on held-out ones."""

import clip360.models  # noqa: F401  before anything imports torchvision

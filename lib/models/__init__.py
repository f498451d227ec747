"""CLIP models: how they are built, fetched, trained from scratch, and used."""

from clip360.models import torchvision_ops  # noqa: F401  before anything imports torchvision

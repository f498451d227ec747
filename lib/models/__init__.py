"""CLIP models: configured, fetched, trained from scratch and loaded for use."""

from clip360.models import torchvision_ops  # noqa: F401  must run before anything imports torchvision

"""CLIP models: configured, fetched, trained from scratch and loaded for use."""

from clip360.models import torchvision_ops  # noqa: F401, I001  must run before anything imports torchvision
from clip360.models import one_code_path  # noqa: F401  must run before networks compute

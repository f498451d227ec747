"""Shared functions of the notebooks: a panorama and its shifts, a caption and its cues, one score, one test."""

from lib import torchvision_ops  # noqa: F401  before anything imports torchvision

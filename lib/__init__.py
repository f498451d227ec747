"""Shared functions of the notebooks: a panorama and its shifts, a caption and its cues, one score, one test."""

"""CLIP on 360-degree panoramas: a panorama and its shifts, a caption and its cues, one score, one test."""

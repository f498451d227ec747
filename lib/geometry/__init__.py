"""Geometry of equirectangular panoramas, in torch alone."""

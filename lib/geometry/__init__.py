"""Geometry of equirectangular panoramas, with torch alone."""

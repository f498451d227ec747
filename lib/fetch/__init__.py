"""Panoramas that web sites offer under free licences, fetched as image sets: with attribution, and captions to edit."""

"""Shift cards: one page and one JSON that say how a model treats panoramas, and tables of several cards."""

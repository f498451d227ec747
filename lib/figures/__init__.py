"""One function a figure: tidy table in, matplotlib figure out; one style for all."""

"""What a run of a profile costs, before it starts (``python -m pipeline.plan``)."""

"""Do harm to the pipeline on purpose, and see what it makes of that."""

"""What a CLIP can do, measured as others measure it: classification, retrieval, fine-grained attributes, matching heads."""

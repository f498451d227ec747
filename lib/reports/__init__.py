"""What `clip360 score` says of image sets: named view protocols, scores of each panorama, cached embeddings, and their files."""

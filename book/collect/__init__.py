"""What the book is made of: claims, notebooks, docs and sources, read from the repository."""

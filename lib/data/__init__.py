"""Image sets on disk, their captions and their problems."""

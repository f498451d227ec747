"""Image sets on disk, their captions and their faults."""

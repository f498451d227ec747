"""Fine-tuning a CLIP to give shifted panoramas the same score: losses, adapters, the loop (arXiv 2604.24642)."""

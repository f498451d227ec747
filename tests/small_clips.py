"""The smallest CLIPs that have all parts of a real one, with random weights, for tests."""

from pathlib import Path

from clip360.models.clip import Clip, new_clip, save_weights, write_configuration

VISION = {"image_size": 32, "patch_size": 8, "layers": 1, "width": 32, "head_width": 32}
TEXT = {"context_length": 24, "vocab_size": 49408, "layers": 1, "width": 32, "heads": 1}


def small_clip(folder: Path, *, seed: int = 0, embed_dim: int = 32, **vision) -> Clip:
    """A new model on the CPU, saved in ``folder``; ``vision`` overrides entries of its image tower's configuration."""
    write_configuration(folder, {"embed_dim": embed_dim, "vision_cfg": VISION | vision, "text_cfg": TEXT})
    clip = new_clip(folder, seed=seed, device="cpu")
    save_weights(clip, folder)
    return clip

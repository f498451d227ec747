"""What the models of a profile do otherwise than they were trained; what they cannot do is an error of the parameters (architectures.py)."""

import clip360.models  # noqa: F401  before open_clip, which imports torchvision

# isort: split
import open_clip

from clip360.models.weights import WeightSource, activation_mismatch
from pipeline.parameters import Parameters


def other_activations(params: Parameters) -> list[str]:
    """One sentence for each model whose weights were trained with another activation than the profile computes."""
    found = []
    for model, source in params.weights.items():
        if source.pretrained in open_clip.list_pretrained_tags_by_model(source.architecture):
            mismatch = activation_mismatch(WeightSource(**source.model_dump()), activation=params.protocol.activation)
            if mismatch:
                found.append(f"{model}: {mismatch.sentence}")
    return found

"""What is judged of an architecture from its configuration, against trying it on torch's meta device."""

import open_clip
import pytest

from clip360.evaluation.token_analysis import tokens
from clip360.finetune.methods import METHODS
from clip360.models.clip import Clip
from clip360.models.positional_embeddings import with_positional_embedding
from clip360.models.protocol import Protocol
from pipeline.architectures import NEEDS_VIT, has_wide_view, is_own_vit
from pipeline.parameters import parse, validate
from pipeline.plan.networks import Network, attach
from pipeline.profiles import compose

ARCHITECTURES = ("ViT-B-32", "coca_ViT-B-32", "RN50", "ViT-B-16-SigLIP2", "convnext_base", "MobileCLIP-S1")
ERRORS = (
    ValueError,
    RuntimeError,
    AttributeError,
    TypeError,
    AssertionError,
)  # of a network that lacks what a function needs


def works(action) -> bool:
    try:
        action()
    except ERRORS:
        return False
    return True


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_an_architecture_can_do_is_read_from_its_configuration(name):
    configuration = open_clip.get_model_config(name)
    tower = configuration["vision_cfg"]
    network = Network(name, configuration)
    clip = Clip(name, network.frozen, None, None, "squash", Protocol())

    def wide() -> None:
        doubled = Network(name, configuration, wide=True)
        height, width = doubled.input_size
        assert width == 2 * height
        doubled.frozen.encode_image(doubled.images(1))

    assert works(wide) == has_wide_view(tower)
    assert works(lambda: with_positional_embedding(clip, "circular")) == is_own_vit(tower)
    assert works(lambda: tokens(clip, network.images(1))) == is_own_vit(tower)
    lora = validate(parse(compose("world"), "world"), "world").finetune.lora
    for method, found in METHODS.items():
        trained = Clip(name, network.build(), None, None, "squash", Protocol())
        assert works(lambda: attach(found, trained, lora)) == (is_own_vit(tower) or method not in NEEDS_VIT), method  # noqa: B023

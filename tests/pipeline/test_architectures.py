"""What is judged of an architecture from its configuration, against trying it: on torch's meta device, or by loading a model."""

import open_clip
import pytest

from clip360.evaluation.token_analysis import tokens
from clip360.finetune.methods import METHODS, find_method
from clip360.models.clip import WEIGHTS, Clip, load_clip, write_configuration
from clip360.models.positional_embeddings import with_positional_embedding
from clip360.models.protocol import Protocol
from pipeline.architectures import can_train, has_wide_view, is_own_vit
from pipeline.parameters import parse, validate
from pipeline.plan.networks import Network, attach
from pipeline.profiles import compose

ARCHITECTURES = ("ViT-B-32", "coca_ViT-B-32", "RN50", "ViT-B-16-SigLIP2", "convnext_base")
ERRORS = (ValueError, RuntimeError, AttributeError, TypeError)  # of a network that lacks what a function needs
LORA = validate(parse(compose("world"), "world"), "world").finetune.lora


def works(action, *arguments) -> bool:
    try:
        action(*arguments)
    except ERRORS:
        return False
    return True


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_an_architecture_can_do_is_read_from_its_configuration(name, tmp_path):
    configuration = open_clip.get_model_config(name)
    tower, network = configuration["vision_cfg"], Network(name, configuration)

    def model() -> Clip:
        return Clip(name, network.build(), None, None, "squash", Protocol())

    def analyse() -> None:
        tokens(with_positional_embedding(model(), "circular"), network.images(1))

    assert works(analyse) == is_own_vit(tower)
    for method in METHODS:
        assert works(lambda m: attach(find_method(m), model(), LORA), method) == can_train(tower, method), method
    write_configuration(tmp_path, configuration)
    (tmp_path / WEIGHTS).touch()
    with pytest.raises(ValueError, match="weights" if has_wide_view(tower) else "needs a square ViT of open_clip"):
        load_clip(tmp_path, protocol=Protocol(view="wide"), device="cpu")

"""What the models of a profile cannot do, as far as their architectures tell: found by trying it without weights."""

from collections.abc import Iterator
from dataclasses import replace

import clip360.models  # noqa: F401  before open_clip, which imports torchvision

# isort: split
import open_clip

from clip360.evaluation.token_analysis import tokens
from clip360.finetune.methods import find_method
from clip360.models.clip import Clip, brief
from clip360.models.positional_embeddings import KINDS, with_positional_embedding
from clip360.models.protocol import Protocol
from clip360.models.variants import variant
from clip360.models.weights import WeightSource, activation_mismatch
from pipeline.plan.context import Context
from pipeline.plan.networks import attach

EVERY_STAGE = "every stage"  # in place of a stage's name
ERRORS = (ValueError, RuntimeError, AttributeError, TypeError)  # of a network that lacks what a function needs


def limits(context: Context) -> list[str]:
    """One sentence for each stage that a model cannot run, and for weights that the profile computes otherwise than trained."""
    found = [*_views(context), *_tokens(context), *_training_free(context), *_runs(context), *_weights(context)]
    return list(dict.fromkeys(found))


def _clip(context: Context, model: str) -> Clip:
    return Clip(model, context.models.network(model).frozen, None, None, "squash", Protocol())


def has_wide_view(context: Context, model: str) -> bool:
    """Can the network take inputs of twice the width? Only a square ViT of open_clip can."""
    vision = context.models.configuration(model)[0]["vision_cfg"]
    return isinstance(vision.get("image_size", 224), int) and "timm_model_name" not in vision


def _views(context: Context) -> Iterator[str]:
    params = context.params
    study = params.crop_or_model
    users = [(f"score_view_modes@{model}", model, view) for model in params.models for view in study.views]
    users += [
        (f"score_protocol_ablations@{model}", model, changes.view)
        for model in params.protocol_ablations.models
        for changes in params.protocol_ablations.variants.values()
    ]
    token_analysis = study.token_analysis
    users += [
        (f"analyse_tokens@{model}", model, view) for model in token_analysis.models for view in token_analysis.views
    ]
    users += [(f"finetune@{name}", run.model, run.view) for name, run in params.finetune.runs.items()]
    users += [
        (f"evaluate_training_free@{model}", model, method.view)
        for model, methods in params.finetune.training_free.items()
        for method in methods.values()
    ]
    users += [(EVERY_STAGE, model, params.protocol.view) for model in params.models]
    for stage, model, view in users:
        if view == "wide" and not has_wide_view(context, model):
            yield f"{stage}: the view `wide` needs a square ViT of open_clip, which {model} is not: leave the view out"


def _tokens(context: Context) -> Iterator[str]:
    for model in context.params.crop_or_model.token_analysis.models:
        try:
            network = context.models.network(model)
            for kind in KINDS:
                with_positional_embedding(_clip(context, model), kind)
            tokens(_clip(context, model), network.images(1))
            network.frozen.visual.patch_size[1]
        except ERRORS as error:
            yield f"analyse_tokens@{model}: {brief(error)}: leave {model} out of crop_or_model.token_analysis.models"


def _training_free(context: Context) -> Iterator[str]:
    for model, methods in context.params.finetune.training_free.items():
        for name, method in methods.items():
            try:
                clip = replace(_clip(context, model), view=context.models.view(model, method.view))
                variant(
                    clip,
                    positional_embedding=method.positional_embedding,
                    tokenisation=method.tokenisation,
                    pooling=method.pooling,
                )
            except ERRORS as error:
                yield f"evaluate_training_free@{model}: {brief(error)}: leave {name} out"


def _runs(context: Context) -> Iterator[str]:
    for name, run in context.params.finetune.runs.items():
        view = context.models.view(run.model, run.view)
        clip = Clip(run.model, context.models.network(run.model).build(), None, None, view, Protocol())
        try:
            attach(find_method(run.method), clip, context.params.finetune.lora)
        except ERRORS as error:
            yield f"finetune@{name}: {brief(error)}"


def _weights(context: Context) -> Iterator[str]:
    params = context.params
    for model, source in params.weights.items():
        if source.pretrained in open_clip.list_pretrained_tags_by_model(source.architecture):
            mismatch = activation_mismatch(WeightSource(**source.model_dump()), activation=params.protocol.activation)
            if mismatch:
                yield f"{model}: {mismatch.sentence}"

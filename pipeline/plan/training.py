"""The work of the stages that render, train, fetch and fine-tune."""

import math
from dataclasses import replace
from pathlib import Path

from clip360.finetune.methods import find_method
from clip360.finetune.run import make_objective
from pipeline.finetuned import recipe_of
from pipeline.parameters import Lora, RenderedScenes
from pipeline.plan.context import SAMPLE, Context
from pipeline.plan.networks import FLOAT, Network, lora_targets
from pipeline.plan.work import Work

JPEG_BYTES = 0.5  # bytes of a pixel in the rendered JPEG files: measured, 0.37 to 0.55 by image set
CHANNELS = 3  # bytes of a pixel that is not compressed
CHECK_BATCH = 2  # images by which `clip360.finetune.lora.check_adapters` checks adapters


def rendered(n_images: int, height: int, *, bytes_per_pixel: float = JPEG_BYTES, aspect: int = 2) -> Work:
    """Images of ``height`` times ``aspect * height`` pixels."""
    pixels = n_images * aspect * height**2
    return Work(rendered=pixels, disk=bytes_per_pixel * pixels)


def render_training_pictures(context: Context, part: str) -> Work:
    """Views or panoramas for training, or held-out views."""
    study = context.params.training_pictures
    if study is None:
        return Work()
    aspect = 2 if part == "panoramas" else 1
    return rendered(getattr(study, f"n_{part}"), study.size, bytes_per_pixel=CHANNELS, aspect=aspect)


def render_image_set(context: Context, name: str) -> Work:
    recipe = context.params.rendered_sets[name]
    return rendered(recipe.n_images, recipe.height)


def render_control_views(context: Context) -> Work:
    """The panoramas of known scenes again, and the directions in which they show their objects."""
    study = context.params.crop_or_model
    return _of_all_scenes(
        context,
        lambda recipe: (
            rendered(study.n_images, recipe.height)
            + replace(rendered(study.n_images, study.visibility_columns // 2), disk=0)
        ),
    )


def render_viewpoints(context: Context) -> Work:
    study = context.params.capabilities.viewpoints
    return _of_all_scenes(context, lambda _: rendered(study.n_images * (1 + len(study.distances)), study.height))


def _of_all_scenes(context: Context, work) -> Work:
    recipes: list[RenderedScenes] = list(context.params.crop_or_model.scenes.values())
    return sum((work(recipe) for recipe in recipes), Work())


def train(context: Context, model: str) -> Work:
    """CLIP's own training from scratch."""
    study, pictures = context.params.pretraining, context.params.training_pictures
    network, settings = context.models.network(model), study.optimisation
    step = network.pretraining_step(settings.batch_size)
    weights = FLOAT * network.parameters
    n_images = study.models[model].n_images or study.n_images
    return Work(
        steps=settings.steps,
        training_flops=settings.steps * step.flops,
        pass_flops=network.image_flops,
        memory=weights + step.memory + CHANNELS * n_images * pictures.size**2,
        disk=weights,
    )


def fetch(context: Context, model: str) -> Work:
    """The weights, which are copied out of the cache of open_clip or of the hub."""
    weights = FLOAT * context.models.network(model).parameters
    return Work(disk=weights, memory=0)


def finetune(context: Context, name: str) -> Work:
    """A run of fine-tuning: what it embeds without a gradient, once and in every epoch, and its steps."""
    section = context.params.finetune
    run = context.params.runs[name]
    method, recipe = find_method(run.method), recipe_of(context.params, run)
    training, _ = context.sets.finetuning()
    n, epochs = len(training.table), recipe.optimisation["epochs"]
    rehearsal = context.rehearsal(run.model, **({} if run.view is None else {"view": run.view}))
    viewpoints = [training.head(SAMPLE)]
    if method.uses_offset:
        viewpoints.append(context.sets.open(Path(section.offset_image_set)).head(SAMPLE))
    with rehearsal.counted(*viewpoints) as once:
        objective = make_objective(rehearsal.clip, recipe, viewpoints, batch_size=SAMPLE)
    with rehearsal.counted() as each_epoch:
        for item in objective.items(rehearsal.clip, seed=0, epoch=0):
            objective.panoramas[item]
    network = context.models.network(run.model, context.models.view(run.model, run.view))
    embedded = (once[0] + each_epoch[0] * epochs) * (n / len(objective.panoramas))
    work = context.costed(embedded + attached(network, run.method, section.lora), run.model, run.view)
    batch_size = section.optimisation.batch_size
    step, steps = network.step(run.method, batch_size, section.lora), epochs * math.ceil(n / batch_size)
    return replace(
        work,
        steps=steps,
        training_flops=steps * step.flops,
        pass_flops=network.image_flops,
        memory=max(work.memory, FLOAT * network.parameters + step.memory),
        disk=FLOAT * step.trained,
    )


def attached(network: Network, method: str, lora: Lora) -> Work:
    """What a method embeds when it is attached to a network: all adapters of attention are checked, the released ones are not."""
    adaptation = find_method(method)
    checks = adaptation.uses_lora and lora_targets(adaptation) == "lora_attention"
    return Work(image_passes=checked_images(network, "lora_attention", lora)) if checks else Work()


def checked_images(network: Network, targets: str, lora: Lora) -> int:
    """Images that the check of all adapters embeds: a batch with a gradient, and for each adapter one by it and one by its merged weights."""
    return CHECK_BATCH * (1 + 2 * network.n_adapters(targets, lora))


def own_panoramas(context: Context) -> Work:
    """The notebook that scores your panoramas, under each shift."""
    study = context.params.own_panoramas
    image_set = context.sets.open(Path(study.images)).head(study.n_images)
    n, pixels, model = len(image_set.table), 2 * image_set.height**2, Path(study.model).name
    if model not in context.params.models:
        return Work()
    passes = n * study.n_shifts
    work = Work(panoramas=n, decoded=n * pixels, resized=passes * pixels, image_passes=passes, text_passes=n)
    return context.costed(work, model, study.view)

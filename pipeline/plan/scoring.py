"""The work of the stages that score: both probes, protocol ablations, view modes, tokens."""

from functools import partial

import torch

from clip360.evaluation.view_modes import control_views, view_measurements
from clip360.geometry.views import Shift, perspective_view, shift_fractions
from clip360.models.positional_embeddings import KINDS
from clip360.names import BASELINE, PANORAMA, PERSPECTIVE
from clip360.scoring.clip_score import cue_measurements
from clip360.scoring.embedding import embed_images, embed_texts
from clip360.scoring.shifts import shift_views
from pipeline.plan.context import SAMPLE, Context
from pipeline.plan.rehearsal import WIDTH, GreyPanoramas, Rehearsal
from pipeline.plan.work import Work
from pipeline.score_protocol_ablations import probe_measurements


def score_probes(context: Context, model: str, name: str) -> Work:
    """Both probes of one image set."""
    params, rehearsal = context.params, context.rehearsal(model)
    clip, image_set = rehearsal.clip, context.sets.probe_set(name)
    few = image_set.head(SAMPLE)
    views = shift_views(shift_fractions(params.visual_probe.n_curve_shifts), jpeg_quality=clip.protocol.jpeg_quality)
    views |= {PERSPECTIVE: perspective_view(**params.textual_probe.control_view.model_dump())}
    study = params.textual_probe
    with rehearsal.counted(few) as found:
        embed_images(clip, few.batches(SAMPLE), views, total=SAMPLE)
        embeds = {view: torch.ones(SAMPLE, WIDTH) for view in (PANORAMA, PERSPECTIVE)}
        held_out = study.held_out_cues.model_dump()
        cue_measurements(clip, few.table, embeds, study.generic_cues, image_set=name, held_out=held_out)
        embed_texts(clip, few.texts)
    return context.costed(found[0] * (len(image_set.table) / SAMPLE), model)


def score_protocol_ablations(context: Context, model: str) -> Work:
    """Both probes of the first images of every set, under every change of the protocol."""
    params, total = context.params, Work()
    study = params.protocol_ablations
    variants = {name: changes.model_dump(exclude_unset=True) for name, changes in study.variants.items()}
    for ablation, changes in {BASELINE: {}, **variants}.items():
        for image_set in context.sets.probe_sets(study.n_images):
            rehearsal, few = context.rehearsal(model, **changes), image_set.head(SAMPLE)
            with rehearsal.counted(few) as found:
                probe_measurements(params, rehearsal.clip, few, ablation=ablation)
            work = found[0] * (len(image_set.table) / SAMPLE)
            total += context.costed(work, model, changes.get("view"))
    return total


def score_view_modes(context: Context, model: str) -> Work:
    """The first images of every set under every view of a panorama, and rendered again where their scenes are known."""
    total, study = Work(), context.params.crop_or_model
    for view in study.views:
        for image_set in context.sets.probe_sets(study.n_images):
            rehearsal = context.rehearsal(model, view=view)
            work = context.once(("view", rehearsal.key, image_set.name), partial(_view, context, rehearsal, image_set))
            total += context.costed(work, model, view)
    return total


def _view(context: Context, rehearsal: Rehearsal, image_set: GreyPanoramas) -> Work:
    study, few = context.params.crop_or_model, image_set.head(SAMPLE)
    with rehearsal.counted(few) as found:
        view_measurements(
            rehearsal.clip,
            few,
            n_shifts=study.n_shifts,
            n_windows=study.n_windows,
            controls=control_views(**study.controls.model_dump()),
            batch_size=SAMPLE,
        )
        if image_set.name in study.scenes:
            embed_images(rehearsal.clip, few.batches(SAMPLE), {0.0: Shift(0.0)}, total=SAMPLE)
            embed_texts(rehearsal.clip, few.texts)
    return found[0] * (len(image_set.table) / SAMPLE)


def analyse_tokens(context: Context, model: str) -> Work:
    """The inputs of the first images, rolled by half patches, and their tokens at rolls by whole patches."""
    study, total = context.params.crop_or_model.token_analysis, Work()
    for view in study.views:
        network = context.models.network(model, context.models.view(model, view))
        patch, width = network.frozen.visual.patch_size[1], network.input_size[1]
        rolls = len(KINDS) * len(range(0, width, patch // 2))
        token_passes = (len(KINDS) - 1) * (width // patch)  # the embedding of rows alone has no columns to compare
        for image_set in context.sets.probe_sets(study.n_images):
            n, pixels = len(image_set.table), 2 * image_set.height**2
            work = Work(
                panoramas=n,
                decoded=n * pixels,
                resized=n * pixels,
                image_passes=n * (rolls + token_passes),
                text_passes=n,
            )
            total += context.costed(work, model, view)
    return total

"""The work of the stages that embed panoramas for a page, for cards or in a notebook."""

from dataclasses import replace
from functools import partial

from clip360.cards.inputs import card_views
from clip360.cards.protocol import SQUASH, VIEWS, CardProtocol
from clip360.finetune.lora import TARGETS
from clip360.geometry.views import shift_fractions
from clip360.models.positional_embeddings import KINDS
from clip360.scoring.shifts import embed_distinct, shift_views
from pipeline.live_figure import VIEWS as DRAWN_VIEWS
from pipeline.plan.context import SAMPLE, Context
from pipeline.plan.rehearsal import GreyPanoramas, Rehearsal
from pipeline.plan.training import checked_images
from pipeline.plan.work import Work

SHOWN = 8  # panoramas that notebook 04 embeds by the frozen model and by each kind of adapters


def lora(context: Context) -> Work:
    """Notebook 04, which checks the adapters of both kinds on the last model; attaching the second kind checks it, too."""
    params, model = context.params, context.params.models[-1]
    shown, network = context.sets.finetuning_set().head(SHOWN), context.models.network(model)
    n, of_one = len(shown.table), 2 * shown.height**2
    checks = [checked_images(network, targets, params.finetune.lora) for targets in (*TARGETS, "lora_attention")]
    embedded = n * (1 + len(TARGETS))
    work = Work(panoramas=n, decoded=n * of_one, resized=embedded * of_one, image_passes=embedded + sum(checks))
    return context.costed(work, model)


def live_figure(context: Context) -> Work:
    """The first panoramas of every set in all directions, and the whole set mirrored and not; both texts of each once for both views."""
    params, total = context.params, Work()
    for model in params.models:
        for view in DRAWN_VIEWS:
            rehearsal = context.rehearsal(model, view=view)
            for image_set in context.sets.probe_sets(params.crop_or_model.n_images):
                key = ("live figure", rehearsal.key, image_set.name)
                work = context.once(key, partial(_turns, context, rehearsal, image_set))
                work = work if view == DRAWN_VIEWS[0] else replace(work, text_passes=0)
                total += context.costed(work, model, view)
    return total


def _turns(context: Context, rehearsal: Rehearsal, image_set: GreyPanoramas) -> Work:
    study, clip, n = context.params.live_figure, rehearsal.clip, len(image_set.table)
    shown, few = image_set.head(study.n_panoramas), image_set.head(SAMPLE)
    with rehearsal.counted(shown) as turned:
        embed_distinct(clip, shown, shift_views(shift_fractions(study.n_yaws)), batch_size=SAMPLE)
    with rehearsal.counted(few) as mirrored:
        embed_distinct(clip, few, shift_views([]), batch_size=SAMPLE)
    return turned[0] + mirrored[0] * (n / len(few.table)) + Work(text_passes=2 * n)


def model_cards(context: Context) -> Work:
    """The first panoramas of the first set by every model, under all views and rolled; each is decoded once."""
    params, protocol, total = context.params, CardProtocol(), Work()
    image_set = context.sets.probe_sets(params.model_cards.n_images)[0]
    n = len(image_set.table)
    for model in params.models:
        for view in VIEWS:
            rehearsal = context.rehearsal(model, view=view, clamp_at_zero=False)
            work = context.once(("card", rehearsal.key), partial(_card_views, rehearsal, image_set, protocol))
            if view == SQUASH:
                passes, texts = n * _rolls(context, model), n * (1 + len(protocol.generic_cues))
                work += Work(image_passes=passes, text_passes=texts)
            else:
                work = replace(work, panoramas=0, decoded=0)
            one = Work(image_passes=1)  # by which a card counts the operations of a pass
            total += context.costed(work + one, model, view)
    return total


def _card_views(rehearsal: Rehearsal, image_set: GreyPanoramas, protocol: CardProtocol) -> Work:
    few = image_set.head(SAMPLE)
    with rehearsal.counted(few) as found:
        embed_distinct(rehearsal.clip, few, card_views(rehearsal.clip.view, protocol), batch_size=SAMPLE)
    return found[0] * (len(image_set.table) / len(few.table))


def _rolls(context: Context, model: str) -> int:
    """Rolled inputs of a panorama, by half patches and for every kind of positional embedding; none without patches."""
    tower = context.models.network(model).frozen.visual
    if not hasattr(tower, "patch_size"):
        return 0
    return len(KINDS) * len(range(0, tower.image_size[1], tower.patch_size[1] // 2))

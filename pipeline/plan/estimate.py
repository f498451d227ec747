"""The work of every stage of a profile."""

from collections.abc import Callable

from pipeline.plan import evaluations, pages, scoring, training
from pipeline.plan.context import Context
from pipeline.plan.work import Work
from pipeline.stages import Stage

# By kind of stage; its arguments are those that dvc.yaml gives the stage. All other stages make tables and notebooks.
WORK: dict[str, Callable[..., Work]] = {
    "render_training_pictures": training.render_training_pictures,
    "render_image_set": training.render_image_set,
    "render_control_views": training.render_control_views,
    "render_viewpoints": training.render_viewpoints,
    "train": training.train,
    "fetch": training.fetch,
    "evaluate_pretraining": evaluations.evaluate_pretraining,
    "score_probes": scoring.score_probes,
    "score_protocol_ablations": scoring.score_protocol_ablations,
    "score_view_modes": scoring.score_view_modes,
    "analyse_tokens": scoring.analyse_tokens,
    "finetune": training.finetune,
    "adapt": training.finetune,
    "evaluate_frozen": evaluations.evaluate_frozen,
    "evaluate_training_free": evaluations.evaluate_training_free,
    "evaluate_finetuned": evaluations.evaluate_finetuned,
    "evaluate_adapted": evaluations.evaluate_finetuned,
    "match_attributes": evaluations.match_attributes,
    "lora": pages.lora,
    "live_figure": pages.live_figure,
    "model_cards": pages.model_cards,
    "own_panoramas": training.own_panoramas,
}


def work_of(context: Context, stage: Stage) -> Work:
    """What a stage computes; nothing for one that makes tables, whose time is that of its process."""
    if stage.kind not in WORK:
        return Work()
    key = (stage.kind, *map(context.alike, stage.items))
    return context.once(key, lambda: WORK[stage.kind](context, *stage.items))

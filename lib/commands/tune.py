"""`clip360 tune`: fine-tune a CLIP on panoramas, as a model that open_clip loads."""

import argparse
from pathlib import Path

from clip360.commands.options import (
    FORMS,
    activation_warning,
    add_inference_options,
    add_source_options,
    inference_of,
    warn,
)

# tuning.tune.tunable_methods, which loads torch; the second need no captions.
WITH_CAPTIONS = (
    "lora_attention", "lora_as_released", "image_tower", "text_tower", "both_towers", "last_block", "positional_embedding",
)  # fmt: skip
WITHOUT_CAPTIONS = ("distilled", "distilled_tower", "distilled_periodic")
LAMBDA = {"distilled": 0.9, "other": 0.5}
PERSPECTIVE_VIEWS = {"perspective_cue": "photo", "perspective_fov": 75.0}
LEAST = {"epochs": 1, "batch_size": 1, "shifts": 2, "rank": 1, "seed": 0}  # of whole numbers


def add_parser(subcommands: argparse._SubParsersAction) -> None:
    """Add the parser of `clip360 tune`."""
    parser = subcommands.add_parser(
        "tune",
        help="fine-tune a model on your panoramas, so that it embeds a panorama and its shifts alike",
        description="Fine-tune a CLIP on panoramas, so that it embeds a panorama and its circular shifts alike, and measure what that"
        " gains and costs on panoramas that are held out.",
        epilog="Writes into the folder of --out: a model that open_clip loads by local-dir: or, uploaded, hf-hub:, with README.md, its"
        " card; adapter/, what was trained alone; evaluation.csv and log.csv. Stopped and started again, it continues after the last"
        " whole epoch.",
    )
    parser.add_argument("panoramas", metavar="PANORAMAS", help=f"panoramas (2:1) of one size: {FORMS}")
    parser.add_argument("--captions", help="table with the columns image and caption (default: PANORAMAS/captions.csv)")
    add_source_options(parser, required=True)
    parser.add_argument("--out", required=True, metavar="FOLDER", help="folder of the tuned model")
    parser.add_argument(
        "--method",
        default="distilled",
        help=f"without captions: {', '.join(WITHOUT_CAPTIONS)}; with captions: {', '.join(WITH_CAPTIONS)} (default: %(default)s)",
    )
    parser.add_argument(
        "--view",
        default="squash",
        help="what the model receives of a panorama: own (its own transform), center_crop, squash, letterbox or wide (default:"
        " %(default)s)",
    )
    parser.add_argument("--epochs", type=int, default=10, help="passes over the panoramas (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=1e-5, help="learning rate (default: %(default)s, the paper's)")
    parser.add_argument(
        "--lam",
        type=float,
        help=f"weight λ of invariance, 0 to 1 (default: {LAMBDA['distilled']} for distilled methods, {LAMBDA['other']} for others)",
    )
    parser.add_argument("--batch-size", type=int, default=16, help="panoramas in a step (default: %(default)s)")
    parser.add_argument("--weight-decay", type=float, default=0.01, help="of AdamW (default: %(default)s)")
    parser.add_argument("--shifts", type=int, default=8, help="shifts that are averaged (default: %(default)s)")
    parser.add_argument("--rank", type=int, default=8, help="rank of LoRA adapters (default: %(default)s)")
    parser.add_argument(
        "--n-validation",
        type=int,
        metavar="N",
        help="hold out the last N panoramas (default: a fifth, 8 to 128); shuffle them if their order has a meaning",
    )
    parser.add_argument("--precision", default="float32", help="float32, bfloat16 or float16 (default: %(default)s)")
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    add_inference_options(parser)
    parser.set_defaults(
        run=run, on_interrupt="stopped: run the same command again to continue after the last whole epoch"
    )


def run(options: argparse.Namespace) -> int:
    """Tune a model and write it."""
    from clip360.models.clip import load_clip
    from clip360.models.protocol import Protocol
    from clip360.models.weights import model_folder
    from clip360.reports.folder_lock import folder_lock
    from clip360.tuning.panoramas import divide, open_tuning_panoramas
    from clip360.tuning.tune import require_own_folder, require_tunable, tune

    inference = inference_of(options)
    require_tunable(options.method)
    _require_numbers(options)
    protocol = Protocol(view=options.view, precision=options.precision)
    require_own_folder(Path(options.out))
    panoramas = open_tuning_panoramas(options.panoramas, options.captions, method=options.method)
    training, validation = divide(panoramas, options.n_validation)
    source = model_folder(options.model, pretrained=options.pretrained, revision=options.revision)
    clip = load_clip(source, protocol=protocol, device=options.device)
    if mismatch := activation_warning(options):
        warn(mismatch)
    _warn_of_long_texts(clip, panoramas)
    with folder_lock(options.out):
        comparison = tune(clip, source, training, validation, _recipe(options), Path(options.out), inference=inference)
    print(_summary(comparison, len(validation.table), options.out))
    return 0


def _require_numbers(options: argparse.Namespace) -> None:
    for name, least in LEAST.items():
        if (value := getattr(options, name)) < least:
            raise ValueError(f"--{name.replace('_', '-')} is {value}: expected at least {least}")
    if not 0 < options.lr < 1:
        raise ValueError(f"--lr is {options.lr}: expected a number between 0 and 1")
    if options.lam is not None and not 0 <= options.lam <= 1:
        raise ValueError(f"--lam is {options.lam}: expected 0 to 1")
    if not 0 <= options.weight_decay <= 10:
        raise ValueError(f"--weight-decay is {options.weight_decay}: expected 0 to 10")
    if options.view == "multi_view":
        raise ValueError("--view is multi_view: tuning needs one image for each panorama, choose another view")


def _recipe(options: argparse.Namespace):
    from clip360.finetune.run import Recipe

    lam = LAMBDA["distilled" if options.method in WITHOUT_CAPTIONS else "other"] if options.lam is None else options.lam
    return Recipe(
        method=options.method,
        lam=lam,
        shift_range=(0.0, 1.0),
        n_shifts=options.shifts,
        n_worst=1,
        lora={"rank": options.rank, "alpha": 2 * options.rank, "dropout": 0.1, "seed": options.seed},
        optimisation={
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "lr": options.lr,
            "weight_decay": options.weight_decay,
            "max_grad_norm": 1.0,
            "seed": options.seed,
        },
        view=options.view,
        **PERSPECTIVE_VIEWS,
    )


def _warn_of_long_texts(clip, panoramas) -> None:
    from clip360.data.image_set import printable
    from clip360.scoring.embedding import truncated

    if "caption" in panoramas.table and (long := truncated(clip, panoramas.texts)):
        warn(f"{clip.name} truncates {len(long)} texts, such as: {printable(min(long))}")


def _summary(comparison, n_validation: int, folder: str) -> str:
    """What was gained, in one line."""
    from clip360.tuning.evaluation import MEASURES

    parts = [f"{MEASURES[row.measure]} {row.before:.3f} → {row.after:.3f}" for row in comparison.itertuples()]
    return f"on {n_validation} panoramas held out: {', '.join(parts)}: {folder}"

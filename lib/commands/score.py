"""`clip360 score`: the scores of an image set, with a report."""

import argparse
import sys
from importlib.metadata import version

from clip360.commands.options import (
    FORMS,
    activation_warning,
    add_inference_options,
    add_model_options,
    add_scoring_options,
    inference_of,
    open_clip_of,
    warn,
)


def add_parser(subcommands: argparse._SubParsersAction) -> None:
    """Add the parser of `clip360 score`."""
    parser = subcommands.add_parser(
        "score",
        help="score panoramas against their captions, at all shifts of a whole turn",
        description="Score every panorama of a set against its caption, at equal steps of a whole turn.",
        epilog="Writes scores.csv and scores.jsonl (one row for each panorama), summary.json (means with intervals, by view"
        " protocol) and report.html (a page to sort, filter and look around) into the folder of --out. Stopped and started again, it"
        " continues; panoramas that have changed since are scored again.",
    )
    parser.add_argument("images", help=f"panoramas (2:1): {FORMS}")
    parser.add_argument("--captions", help="table with the columns image and caption (default: IMAGES/captions.csv)")
    parser.add_argument("--cue", help="format cue: the text becomes 'This is a CUE of CAPTION', such as '360 panorama'")
    add_model_options(parser, required=True)
    parser.add_argument("--out", default="report", metavar="FOLDER", help="folder of the report (default: %(default)s)")
    add_scoring_options(parser)
    parser.add_argument("--cache", metavar="FOLDER", help="keep embeddings here: another run computes only what is new")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="truncated texts, panoramas with equal pixels and a wrong activation are errors, not warnings",
    )
    add_inference_options(parser)
    parser.set_defaults(run=run, on_interrupt="stopped: run the same command again to continue")


def run(options: argparse.Namespace) -> int:
    """Score an image set and write its report."""
    from dataclasses import replace

    from clip360.data.image_set import printable
    from clip360.pages.score_page import write_score_page
    from clip360.reports.embedding_cache import EmbeddingCache
    from clip360.reports.folder_lock import folder_lock
    from clip360.reports.panorama_scores import require_options, tensor_resize_deviation
    from clip360.reports.panorama_sources import open_panoramas
    from clip360.reports.report_files import read_records, write_summary
    from clip360.reports.score_folder import score_folder
    from clip360.reports.view_protocols import DEFAULTS, weights_sha256
    from clip360.scoring.embedding import truncated
    from clip360.stats.score_summary import clamped_sentence

    inference = inference_of(options)
    image_set = open_panoramas(options.images, options.captions)
    if options.cue:
        image_set = replace(image_set, table=image_set.table.assign(cue=options.cue))
    clip = open_clip_of(options)
    if options.protocols is None:
        options.protocols = [] if clip.view == "wide" else DEFAULTS
    scoring = {"n_shifts": options.shifts, "batch_size": options.batch_size, "protocols": options.protocols}
    require_options(clip, **scoring)
    if mismatch := activation_warning(options):
        warn(mismatch, options.strict)
    too_long = set(truncated(clip, image_set.texts))
    if n_truncated := sum(text in too_long for text in image_set.texts):
        warn(f"{clip.name} truncates {n_truncated} texts, such as: {printable(min(too_long))}", options.strict)
    if options.resize == "tensor":
        change = tensor_resize_deviation(clip, image_set)
        print(
            f"resizing on tensors changes scores by {change.mean():.3f} points on average and by at most"
            f" {change.max():.3f} (first {len(change)} panoramas)",
            file=sys.stderr,
        )
    weights = weights_sha256(clip)
    with folder_lock(options.out):
        cache = EmbeddingCache(options.cache, clip, weights) if options.cache else None
        scores = score_folder(
            clip, image_set, options.out, weights=weights, cache=cache, strict=options.strict, **scoring
        )
        summary = _summary(options, clip, scores, weights=weights, n_truncated=n_truncated, inference=inference)
        write_summary(options.out, summary)
        page = write_score_page(options.out, read_records(options.out), summary, image_set)
    if clamped := clamped_sentence(summary["n_zero"], len(scores)):
        warn(f"{clip.name}: {clamped}")
    means = f"mean score {scores.score.mean():.2f}, robust {scores.robust.mean():.2f}"
    print(f"{len(scores)} panoramas, {means}: {page}")
    for name in options.protocols:
        estimate = summary["metrics"][name]
        print(
            f"{name} {summary['protocols'][name]['hash']}: {estimate['mean']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"
        )
    return 0


def _summary(options: argparse.Namespace, clip, scores, *, weights: str, n_truncated: int, inference) -> dict:
    """What summary.json holds: how the panoramas were scored, and means with intervals."""
    from clip360.reports.image_sources import relative_location
    from clip360.reports.panorama_scores import group_tables, protocols_of_run
    from clip360.reports.report_files import read_records
    from clip360.reports.view_protocols import describe_protocol
    from clip360.stats.score_summary import clamped_columns, metric_means, rank_correlations

    groups = group_tables(read_records(options.out))
    protocols = {
        name: describe_protocol(clip, protocol)
        | ({f"by_{protocol.group_axis}": metric_means(groups[name], inference=inference)} if name in groups else {})
        for name, protocol in protocols_of_run(clip, options.shifts, options.protocols).items()
    }
    return {
        "model": {"name": clip.name, "weights_sha256": weights},
        "versions": {name: version(name) for name in ("clip360", "torch", "open_clip_torch")},
        # Relative, so that a folder of sets and reports can be moved as one.
        "images": relative_location(options.images, options.out),
        "cue": options.cue,
        "n": len(scores),
        "n_truncated": n_truncated,
        "n_zero": {name: int((scores[name] == 0).sum()) for name in clamped_columns(options.protocols)},
        "interval": {"level": 1 - inference.alpha, "n_bootstrap": inference.n_bootstrap, "seed": inference.seed},
        "metrics": metric_means(scores, inference=inference),
        "rank_correlations": rank_correlations(scores, options.protocols),
        "protocols": protocols,
    }

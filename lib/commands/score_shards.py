"""`clip360 score-shards`: the scores of a set of any size, by several processes under Ray Data."""

import argparse
from functools import partial
from importlib.metadata import version
from pathlib import Path

from clip360.commands.options import (
    FORMS,
    activation_warning,
    add_model_options,
    add_scoring_options,
    open_clip_of,
    warn,
)


def add_parser(subcommands: argparse._SubParsersAction) -> None:
    """Add the parser of `clip360 score-shards`."""
    parser = subcommands.add_parser(
        "score-shards",
        help="score a very large set, shard by shard, on several devices or machines (needs Ray)",
        description="Score every panorama of a set as `clip360 score` does, shard by shard, by several processes under Ray Data.",
        epilog="Writes shards/NAME.parquet for each shard and summary.json into the folder of --out, which all machines must"
        " share. Started again, it scores the shards that are missing, and those whose files, texts, model or protocols have"
        " changed. A shard with a panorama that cannot be scored is reported at the end and does not stop the others.",
    )
    parser.add_argument("images", help=f"panoramas (2:1): {FORMS}; of a folder of .tar files each one is a shard")
    parser.add_argument("--captions", help="table with the columns image and caption (default: IMAGES/captions.csv)")
    parser.add_argument("--cue", help="format cue: the text becomes 'This is a CUE of CAPTION', such as '360 panorama'")
    add_model_options(parser, required=True)
    parser.add_argument("--out", required=True, metavar="FOLDER", help="folder of the scores")
    add_scoring_options(parser)
    parser.add_argument(
        "--shard-size",
        type=int,
        default=1000,
        metavar="N",
        help="rows of a shard of other forms (default: %(default)s)",
    )
    parser.add_argument("--alpha", type=float, default=0.01, help="level of intervals (default: %(default)s)")
    cluster = parser.add_argument_group("processes")
    cluster.add_argument("--workers", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    cluster.add_argument("--cpus", type=float, default=1, help="CPUs of each, for decoding too (default: %(default)s)")
    cluster.add_argument("--gpus", type=float, default=0, help="GPUs of each, such as 1 or 0.5 (default: %(default)s)")
    cluster.add_argument("--address", help="of a running Ray cluster, or auto (default: start Ray on this machine)")
    parser.set_defaults(run=run, on_interrupt="stopped: run the same command again to continue")


def run(options: argparse.Namespace) -> int:
    """Score the shards that are not finished, write the summary and report the shards that failed."""
    from clip360.reports.folder_lock import folder_lock
    from clip360.reports.panorama_scores import require_options
    from clip360.reports.report_files import SHARDS, SUMMARY, write_summary
    from clip360.reports.score_folder import scoring_fingerprint
    from clip360.reports.score_shards import ERROR, SHARD, Job, require_ray, score_shards
    from clip360.reports.shards import list_shards, shard_path
    from clip360.reports.view_protocols import DEFAULTS, weights_sha256

    if options.workers < 1:
        raise ValueError(f"--workers is {options.workers}: expected at least 1")
    if not 0 < options.alpha < 1:
        raise ValueError(f"alpha is {options.alpha}: expected a number between 0 and 1")
    require_ray()
    shards = list_shards(options.images, options.captions, options.shard_size)
    # The device of the workers may be none of this process, which computes no scores.
    clip = open_clip_of(argparse.Namespace(**vars(options) | {"device": "cpu"}))
    if options.protocols is None:
        options.protocols = [] if clip.view == "wide" else DEFAULTS
    scoring = {"n_shifts": options.shifts, "batch_size": options.batch_size, "protocols": options.protocols}
    require_options(clip, **scoring)
    if mismatch := activation_warning(options):
        warn(mismatch)
    weights = weights_sha256(clip)
    fingerprint = scoring_fingerprint(clip, options.shifts, options.protocols, weights)
    # Workers on other machines have another current folder.
    open_clip = partial(open_clip_of, argparse.Namespace(**vars(options) | {"run": None}))
    job = Job(open_clip, Path(options.out).resolve(), fingerprint, options.cue, **scoring)
    with folder_lock(options.out):
        paths = {shard.name: shard_path(options.out, shard) for shard in shards}
        _require_no_others(Path(options.out, SHARDS), set(paths.values()))
        resources = {"workers": options.workers, "cpus": options.cpus, "gpus": options.gpus}
        results = score_shards(job, shards, **resources, address=options.address)
        errors = {row[SHARD]: row[ERROR] for row in results if row[ERROR]}
        scored = [path for name, path in paths.items() if name not in errors]
        if scored:
            write_summary(options.out, _summary(options, clip, weights, scored))
    for name, error in sorted(errors.items()):
        warn(f"shard {name} is not scored: {error}")
    print(f"{len(scored)} of {len(shards)} shards are scored: {Path(options.out, SUMMARY)}")
    return int(bool(errors))


def _require_no_others(folder: Path, paths: set[Path]) -> None:
    """ValueError where the folder holds scores of shards that are none of this set; what a killed worker left is removed."""
    for partial_file in folder.glob("*.partial"):
        partial_file.unlink(missing_ok=True)
    if others := sorted(set(folder.glob("*.parquet")) - paths):
        raise ValueError(f"{others[0]} belongs to no shard of these panoramas: remove it, or choose another --out")


def _summary(options: argparse.Namespace, clip, weights: str, paths: list[Path]) -> dict:
    """What summary.json holds, as that of `clip360 score` but for what needs all panoramas at once."""
    from clip360.reports.image_sources import relative_location
    from clip360.reports.panorama_scores import protocols_of_run
    from clip360.reports.shard_summary import n_duplicates, n_panoramas, n_truncated, n_zeros, shard_means
    from clip360.reports.view_protocols import describe_protocol
    from clip360.stats.score_summary import clamped_columns, clamped_sentence

    n_equal = n_duplicates(paths)
    if n_equal:
        warn(f"panoramas with the pixels of another: {n_equal}")
    n, n_zero = n_panoramas(paths), n_zeros(paths, clamped_columns(options.protocols))
    if clamped := clamped_sentence(n_zero, n):
        warn(clamped)
    protocols = protocols_of_run(clip, options.shifts, options.protocols)
    return {
        "model": {"name": clip.name, "weights_sha256": weights},
        "versions": {name: version(name) for name in ("clip360", "torch", "open_clip_torch", "ray")},
        "images": relative_location(options.images, options.out),
        "cue": options.cue,
        "n": n,
        "n_truncated": n_truncated(paths),
        "n_zero": n_zero,
        "n_duplicates": n_equal,
        "interval": {"level": 1 - options.alpha},
        "metrics": shard_means(paths, alpha=options.alpha),
        "protocols": {name: describe_protocol(clip, protocol) for name, protocol in protocols.items()},
    }

"""The command `clip360`. Each subcommand is a parser and a function here; the work is done in the package.

Nothing heavy is imported at the top: torch and what needs it are loaded inside a subcommand, so that `clip360 --help`
answers at once.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

INTERRUPTED = 130  # the exit status of shells for a program that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (None: those of the process); returns the exit status.

    An error is one sentence on stderr and the status 1; wrong options end with argparse's usage and the status 2.
    """
    options = build_parser().parse_args(arguments)
    try:
        return options.run(options)
    except KeyboardInterrupt:
        print(options.on_interrupt, file=sys.stderr)
        return INTERRUPTED
    except (ValueError, RuntimeError, OSError) as error:
        print(error_message(error), file=sys.stderr)
        return 1


def error_message(error: Exception) -> str:
    """An error on one line; of an operating system's error its reason and file, without its number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split()) or type(error).__name__


def build_parser() -> argparse.ArgumentParser:
    """The parser of the command, with a parser for each subcommand; ``run`` is what the subcommand calls."""
    parser = argparse.ArgumentParser(prog="clip360", description="CLIP on 360-degree panoramas.")
    parser.add_argument("--version", action="version", version=f"clip360 {version('clip360')}")
    subcommands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_score(subcommands)
    _add_check(subcommands)
    _add_compare(subcommands)
    return parser


def _add_score(subcommands: argparse._SubParsersAction) -> None:
    parser = subcommands.add_parser(
        "score",
        help="score panoramas against their captions, at all shifts of a whole turn",
        description="Score every panorama of a set against its caption, at equal steps of a whole turn.",
        epilog="Writes scores.csv and scores.jsonl (one row for each panorama), summary.json (means with intervals, by view"
        " protocol) and report.html (the extremes, with thumbnails) into the folder of --out. Stopped and started again, it"
        " continues; panoramas that have changed since are scored again.",
    )
    parser.add_argument(
        "images",
        help="panoramas (2:1): a folder of JPEG, PNG or WebP with captions.csv, a .jsonl file, a .tar file or a folder of"
        " them (webdataset), or a Hugging Face dataset saved to disk",
    )
    parser.add_argument("--captions", help="table with the columns image and caption (default: IMAGES/captions.csv)")
    parser.add_argument("--cue", help="format cue: the text becomes 'This is a CUE of CAPTION', such as '360 panorama'")
    _add_model_options(parser, required=True)
    parser.add_argument("--out", default="report", metavar="FOLDER", help="folder of the report (default: %(default)s)")
    parser.add_argument("--shifts", type=int, default=8, help="steps of a whole turn (default: %(default)s)")
    parser.add_argument(
        "--protocols",
        nargs="*",
        metavar="NAME",
        help="view protocols, a column each: half-crop, squash, views-8, cube-6, tangent-18, robust-8, canonical"
        " (default: half-crop squash robust-8)",
    )
    parser.add_argument("--cache", metavar="FOLDER", help="keep embeddings here: another run computes only what is new")
    parser.add_argument(
        "--strict",
        action="store_true",
        help="truncated texts, panoramas with equal pixels and a wrong activation are errors, not warnings",
    )
    _add_inference_options(parser)
    parser.set_defaults(run=run_score, on_interrupt="stopped: run the same command again to continue")


def _add_model_options(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """The options that name a model and say how it is used; ``_open_clip`` reads them."""
    parser.add_argument(
        "--model", required=required, help="folder of a model, architecture of open_clip, or hf-hub:ORGANISATION/NAME"
    )
    parser.add_argument("--pretrained", help="for an architecture: a tag of open_clip or the path of a checkpoint")
    parser.add_argument("--revision", help="for a model of a hub: the commit of its repository")
    parser.add_argument("--adapter", help="folder that fine-tuning wrote, or LoRA adapters in PEFT's format")
    parser.add_argument(
        "--view",
        default="squash",
        help="what the model receives of a panorama: own (its own transform), center_crop, squash, letterbox, wide or"
        " multi_view (default: %(default)s)",
    )
    parser.add_argument("--precision", default="float32", help="float32, bfloat16 or float16 (default: %(default)s)")
    parser.add_argument(
        "--resize", default="pil", help="pil, or tensor, which is faster and changes scores (default: %(default)s)"
    )
    parser.add_argument("--device", help="cpu, cuda or cuda:N (default: a GPU if there is one)")
    parser.add_argument("--batch-size", type=int, default=64, help="images at a time (default: %(default)s)")


def _add_inference_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``stats.inference.Inference``."""
    parser.add_argument("--alpha", type=float, default=0.01, help="level of tests and intervals (default: %(default)s)")
    parser.add_argument(
        "--resamples", type=int, default=2000, metavar="N", help="bootstrap resamples (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of resamples (default: %(default)s)")


def run_score(options: argparse.Namespace) -> int:
    """`clip360 score`: score an image set and write its report."""
    from dataclasses import replace

    from clip360.data.image_set import printable
    from clip360.data.panorama_sources import open_panoramas
    from clip360.scoring.embedding import truncated
    from clip360.scoring.embedding_cache import EmbeddingCache
    from clip360.scoring.folder_lock import folder_lock
    from clip360.scoring.panorama_scores import require_options, tensor_resize_deviation
    from clip360.scoring.score_folder import REPORT, score_folder, write_summary
    from clip360.scoring.view_protocols import DEFAULTS
    from clip360.stats.inference import Inference

    inference = Inference(options.alpha, options.resamples, options.seed)
    image_set = open_panoramas(options.images, options.captions)
    if options.cue:
        image_set = replace(image_set, table=image_set.table.assign(cue=options.cue))
    clip = _open_clip(options)
    if options.protocols is None:
        options.protocols = [] if clip.view == "wide" else DEFAULTS
    scoring = {"n_shifts": options.shifts, "batch_size": options.batch_size, "protocols": options.protocols}
    require_options(clip, **scoring)
    if mismatch := _activation_warning(options):
        _warn(mismatch, options.strict)
    too_long = set(truncated(clip, image_set.texts))
    if n_truncated := sum(text in too_long for text in image_set.texts):
        _warn(f"{clip.name} truncates {n_truncated} texts, such as: {printable(min(too_long))}", options.strict)
    if options.resize == "tensor":
        change = tensor_resize_deviation(clip, image_set)
        print(
            f"resizing on tensors changes scores by {change.mean():.3f} points on average and by at most"
            f" {change.max():.3f} (first {len(change)} panoramas)",
            file=sys.stderr,
        )
    with folder_lock(options.out):
        cache = EmbeddingCache(options.cache, clip) if options.cache else None
        scores = score_folder(clip, image_set, options.out, cache=cache, strict=options.strict, **scoring)
        summary = _summary(options, clip, scores, n_truncated=n_truncated, inference=inference)
        write_summary(options.out, summary)
    means = f"mean score {scores.score.mean():.2f}, robust {scores.robust.mean():.2f}"
    print(f"{len(scores)} panoramas, {means}: {Path(options.out, REPORT)}")
    for name in options.protocols:
        estimate = summary["metrics"][name]
        print(
            f"{name} {summary['protocols'][name]['hash']}: {estimate['mean']:.2f} [{estimate['low']:.2f}, {estimate['high']:.2f}]"
        )
    return 0


def _activation_warning(options: argparse.Namespace) -> str | None:
    """A sentence where a folder's model computes another activation than its weights were trained with, as recorded there."""
    from clip360.models.weights import WeightSource, activation_mismatch, read_source

    folder = Path(options.model)
    source = read_source(folder) if folder.is_dir() else WeightSource(options.model, options.pretrained)
    mismatch = activation_mismatch(source) if source else None
    return mismatch.sentence if mismatch else None


def _warn(sentence: str, strict: bool) -> None:
    """Print a warning; with ``strict``, raise it as ValueError."""
    if strict:
        raise ValueError(sentence)
    print(sentence, file=sys.stderr)


def _summary(options: argparse.Namespace, clip, scores, *, n_truncated: int, inference) -> dict:
    """What summary.json holds: how the panoramas were scored, and means with intervals."""
    from clip360.scoring.panorama_scores import group_tables, protocols_of_run
    from clip360.scoring.score_folder import read_records
    from clip360.scoring.view_protocols import protocol_hash, weights_sha256
    from clip360.stats.score_summary import metric_means, rank_correlations

    groups = group_tables(read_records(options.out))
    protocols = {
        name: {
            "hash": protocol_hash(clip, protocol),
            "shows": protocol.shows,
            "sphere_fraction": protocol.sphere_fraction,
            "forward_passes": len(protocol.views),
        }
        | ({f"by_{protocol.group_axis}": metric_means(groups[name], inference=inference)} if name in groups else {})
        for name, protocol in protocols_of_run(clip, options.shifts, options.protocols).items()
    }
    return {
        "model": {"name": clip.name, "weights_sha256": weights_sha256(clip)},
        "versions": {name: version(name) for name in ("clip360", "torch", "open_clip_torch")},
        "cue": options.cue,
        "n": len(scores),
        "n_truncated": n_truncated,
        "interval": {"level": 1 - inference.alpha, "n_bootstrap": inference.n_bootstrap, "seed": inference.seed},
        "metrics": metric_means(scores, inference=inference),
        "rank_correlations": rank_correlations(scores, options.protocols),
        "protocols": protocols,
    }


def _open_clip(options: argparse.Namespace):
    """The model that the options of ``_add_model_options`` describe, as a ``Clip``."""
    from clip360.models.protocol import Protocol
    from clip360.models.weights import open_model

    protocol = Protocol(view=options.view, precision=options.precision, resize=options.resize)
    clip = open_model(
        options.model,
        pretrained=options.pretrained,
        revision=options.revision,
        protocol=protocol,
        device=options.device,
    )
    if options.adapter:
        from clip360.finetune.methods import load_finetuned  # loads peft, which few runs need

        clip = load_finetuned(clip, options.adapter)
    return clip


def _add_check(subcommands: argparse._SubParsersAction) -> None:
    parser = subcommands.add_parser(
        "check",
        help="list every problem of image sets",
        description="List every problem of image sets: missing, unreadable, wrongly shaped or doubled images, visible seams,"
        " empty or over-long captions.",
        epilog="Prints the problems of each set, one a line; with --sheet, writes a contact sheet of each set, NAME.png. The"
        " exit status is 1 if a set has errors, with which it cannot be scored; warnings leave it 0.",
    )
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="an image set: images/ and captions.csv")
    parser.add_argument("--sheet", metavar="FOLDER", help="write a contact sheet of each set into this folder")
    parser.set_defaults(run=run_check, on_interrupt="stopped: the remaining image sets are unchecked")


def run_check(options: argparse.Namespace) -> int:
    """`clip360 check`: print the problems of image sets and draw their contact sheets."""
    import clip360.models  # noqa: F401  must run before open_clip is imported

    # isort: split
    import open_clip

    from clip360.data.checks import check_image_set

    folders = [Path(folder) for folder in options.folders]
    for folder in folders:
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder}: not a directory: expected an image set, with images/ and captions.csv")
    tokenizer = open_clip.get_tokenizer("ViT-B-32")  # of all CLIPs
    has_errors = False
    for folder in folders:
        problems = check_image_set(folder, tokenizer=tokenizer)
        has_errors |= "error" in set(problems.severity)
        n_errors, n_warnings = ((problems.severity == severity).sum() for severity in ("error", "warning"))
        print(f"{folder}: errors {n_errors}, warnings {n_warnings}")
        for problem in problems.itertuples():
            print(f"  {problem.severity}: {problem.file} {problem.problem}: {problem.advice}")
        if options.sheet:
            print(f"  contact sheet: {_write_contact_sheet(folder, problems, Path(options.sheet))}", flush=True)
    return int(has_errors)


def _write_contact_sheet(folder: Path, problems, sheets: Path) -> Path:
    """Draw the contact sheet of an image set into the folder ``sheets``; returns its path."""
    import matplotlib

    matplotlib.use("Agg")  # draws without a display
    import matplotlib.pyplot as plt

    from clip360.figures.contact_sheet import contact_sheet
    from clip360.figures.style import set_style

    set_style()
    path = sheets / f"{folder.resolve().name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = contact_sheet(folder, problems)
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)
    return path


def _add_compare(subcommands: argparse._SubParsersAction) -> None:
    parser = subcommands.add_parser(
        "compare",
        help="compare generators by their scores, and by distances between sets",
        description="Compare generators of panoramas: score by score, paired where the captions are the same, with tests,"
        " intervals and the smallest difference that would have been found; and, with --images, by distances between sets.",
        epilog="Writes comparison and, with --images, set_distances into the folder of --out, each as CSV, Markdown and LaTeX.",
    )
    parser.add_argument(
        "reports", nargs="+", metavar="REPORT", help="folder that `clip360 score` wrote, of each generator"
    )
    parser.add_argument(
        "--out", default="comparison", metavar="FOLDER", help="folder of the tables (default: %(default)s)"
    )
    _add_inference_options(parser)
    sets = parser.add_argument_group("distances between sets (need --model or --features)")
    sets.add_argument(
        "--images", nargs="+", metavar="FOLDER", help="panoramas of each generator, in the order of the reports"
    )
    sets.add_argument(
        "--reference",
        metavar="FOLDER",
        help="real panoramas: the distance of each generator to them (default: between each pair)",
    )
    sets.add_argument(
        "--features",
        metavar="FILE",
        help="TorchScript network, uint8 images [B, 3, H, W] -> features [B, D], such as Inception for FID and OmniFID."
        " It is a program: use only a file that you trust",
    )
    sets.add_argument(
        "--groups",
        nargs="+",
        default=["whole", "cube"],
        metavar="VIEWS",
        help="whole (the panorama), cube (faces: up, down, sides), tangent (18 views in four rows) (default: whole cube)",
    )
    _add_model_options(parser, required=False)
    parser.set_defaults(run=run_compare, on_interrupt="stopped: run the same command again")


def run_compare(options: argparse.Namespace) -> int:
    """`clip360 compare`: write the tables of a comparison and print its verdicts."""
    from clip360.figures.tables import write_table
    from clip360.scoring.score_folder import read_scores, require_comparable
    from clip360.stats.comparison import UNDECIDED, compare
    from clip360.stats.inference import Inference

    if len(options.reports) < 2:
        raise ValueError("one report: expected at least 2, of the generators to be compared")
    names = _distinct_names(options.reports)
    inference = Inference(options.alpha, options.resamples, options.seed)
    require_comparable(options.reports)
    scores = dict(zip(names, map(read_scores, options.reports), strict=True))
    table = compare(scores, inference=inference)
    write_table(table, Path(options.out, "comparison"))
    for row in table.itertuples():
        decision = row.verdict if row.verdict == UNDECIDED else f"{row.verdict} is better"
        interval = f"[{row.difference_low:.3g}, {row.difference_high:.3g}]"
        print(
            f"{row.metric}, {row.a} - {row.b}: {row.difference:.3g} {interval}, win rate {row.win_rate:.2f}"
            f" ({row.pairing}, {row.n_a} and {row.n_b}): {decision}"
        )
    if options.images:
        distances = _set_distances(options, names, inference)
        write_table(distances, Path(options.out, "set_distances"))
        for warning in distances.warning[distances.warning != ""].unique():
            print(warning, file=sys.stderr)
        comparisons = distances.groupby(["embeddings", "views", "reference", "generated", "distance"], sort=False)
        for row in comparisons.tail(1).itertuples():  # the only group, or the mean over groups
            unbiased = "" if row.warning else f"without bias {row.estimate:.3g} [{row.low:.3g}, {row.high:.3g}], "
            print(
                f"{row.distance} of {row.views}, {row.embeddings}, {row.generated} to {row.reference}: {row.value:.3g}"
                f" ({unbiased}between halves of the reference {row.floor:.3g})"
            )
    print(Path(options.out, "comparison.md"))
    return 0


def _distinct_names(folders: Sequence[str]) -> list[str]:
    """The names of folders, or their paths where two have one name; ValueError where two are the same folder."""
    names = [Path(folder).resolve().name for folder in folders]
    if len(set(names)) < len(names):
        names = [str(Path(folder)) for folder in folders]
    if len(set(names)) < len(names):
        raise ValueError("a report is named twice: expected one of each generator")
    return names


def _set_distances(options: argparse.Namespace, names: list[str], inference):
    """Distances of the images of all generators to the reference, or between each pair, by model or features and views."""
    from itertools import combinations

    import pandas as pd

    from clip360.data.image_set import images_of
    from clip360.scoring.set_embeddings import VIEW_GROUPS, clip_embeds, embed_groups, feature_embeds, load_features
    from clip360.stats.set_distances import set_distances

    if len(options.images) != len(names):
        raise ValueError(f"{len(options.images)} folders of images for {len(names)} reports: expected one for each")
    if unknown := [views for views in options.groups if views not in VIEW_GROUPS]:
        raise ValueError(f"groups of views: {unknown[0]!r}: expected one of {', '.join(VIEW_GROUPS)}")
    networks = {}
    if options.model:
        clip = _open_clip(options)
        networks[clip.name] = (clip_embeds(clip, batch_size=options.batch_size), ("frechet", "cmmd"))
    if options.features:
        features = load_features(options.features, device=options.device)
        embed = feature_embeds(features, device=options.device, batch_size=options.batch_size)
        networks[Path(options.features).stem] = (embed, ("frechet",))  # CMMD's σ is that of unit embeddings
    if not networks:
        raise ValueError("--images needs --model or --features: distances are those of embeddings")
    image_sets = dict(zip(names, map(images_of, options.images), strict=True))
    pairs = list(combinations(names, 2))
    if options.reference:
        image_sets |= {options.reference: images_of(options.reference)}
        pairs = [(options.reference, name) for name in names]
    parts = []
    for network, (embed, distances) in networks.items():
        for views in options.groups:
            embeds = {name: embed_groups(embed, image_set, views) for name, image_set in image_sets.items()}
            for reference, generated in pairs:
                table = set_distances(embeds[reference], embeds[generated], inference=inference, distances=distances)
                labels = {"reference": reference, "generated": generated, "embeddings": network, "views": views}
                parts.append(pd.concat([pd.DataFrame(labels, index=table.index), table], axis=1))
    return pd.concat(parts, ignore_index=True)


if __name__ == "__main__":
    sys.exit(main())

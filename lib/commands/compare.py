"""`clip360 compare`: which of several generators is better, by their scores and by distances between their sets."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from clip360.commands.options import (
    FORMS,
    add_inference_options,
    add_model_options,
    inference_of,
    open_clip_of,
    warn,
)


def add_parser(subcommands: argparse._SubParsersAction) -> None:
    """Add the parser of `clip360 compare`."""
    parser = subcommands.add_parser(
        "compare",
        help="compare generators by their scores, and by distances between sets",
        description="Compare generators of panoramas: score by score, paired where the captions are the same, with tests,"
        " intervals and the smallest difference that would have been found; and, with --model or --features, by distances"
        " between sets.",
        epilog="Writes into the folder of --out: comparison and, with --model or --features, set_distances, each as CSV, Markdown"
        " and LaTeX; differences.csv, panorama by panorama; comparison.json, which holds everything but the latter; and comparison.html, a page of both.",
    )
    parser.add_argument(
        "reports", nargs="+", metavar="REPORT", help="folder that `clip360 score` wrote, of each generator"
    )
    parser.add_argument(
        "--names", nargs="+", metavar="NAME", help="names of the generators (default: those of the reports' folders)"
    )
    parser.add_argument(
        "--baseline", metavar="NAME", help="compare this generator with each other one, instead of all pairs"
    )
    parser.add_argument(
        "--out", default="comparison", metavar="FOLDER", help="folder of the tables (default: %(default)s)"
    )
    add_inference_options(parser)
    sets = parser.add_argument_group("distances between sets (need --model or --features)")
    sets.add_argument(
        "--images",
        nargs="+",
        metavar="IMAGES",
        help=f"panoramas of each generator, in the order of the reports (default: those that were scored): {FORMS}",
    )
    sets.add_argument(
        "--reference",
        metavar="IMAGES",
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
    add_model_options(parser, required=False)
    parser.set_defaults(run=run, on_interrupt="stopped: run the same command again")


def run(options: argparse.Namespace) -> int:
    """Write the files of a comparison and print its verdicts."""
    from clip360.commands.comparison_files import describe, write_comparison
    from clip360.geometry.seam_measures import VISIBLE
    from clip360.pages.comparison_page import write_comparison_page
    from clip360.reports.image_sources import open_images
    from clip360.reports.report_files import read_scores, read_summary, require_comparable
    from clip360.stats.comparison import compare, require_metrics, shared_metrics, visible_faults

    if len(options.reports) < 2:
        raise ValueError("one report: expected at least 2, of the generators to be compared")
    names = _names(options)
    inference = inference_of(options)
    if options.reference and not (options.model or options.features):
        raise ValueError("--reference needs --model or --features: distances are those of embeddings")
    scores = dict(zip(names, map(read_scores, options.reports), strict=True))
    metrics = shared_metrics(scores)
    summaries = dict(zip(names, map(read_summary, options.reports), strict=True))
    require_comparable(dict(zip(options.reports, summaries.values(), strict=True)), metrics)
    for name, scored in scores.items():
        require_metrics(name, scored, metrics)
    raw, scores = scores, visible_faults(scores, VISIBLE)
    images = _images(options, names, summaries)
    table = compare(scores, metrics, inference=inference, baseline=options.baseline)
    distances = _set_distances(options, images, inference) if options.model or options.features else None
    description = describe(
        options.out,
        names,
        options.reports,
        images,
        summaries,
        metrics,
        reference=options.reference,
        baseline=options.baseline,
        inference=inference,
    )
    write_comparison(options.out, description, scores, table, distances)
    panoramas = {name: path and open_images(path) for name, path in images.items()}
    page = write_comparison_page(options.out, raw, panoramas)
    _print_verdicts(table)
    if distances is not None:
        _print_distances(distances)
    print(page)
    return 0


def _names(options: argparse.Namespace) -> list[str]:
    """The names of the generators; ValueError where two have one name, or two reports are the same folder."""
    folders = [Path(report).resolve() for report in options.reports]
    if len(set(folders)) < len(folders):
        raise ValueError("a report is named twice: expected one of each generator")
    names = options.names or [folder.name for folder in folders]
    if len(names) != len(folders):
        raise ValueError(f"--names: {len(names)} names for {len(folders)} reports: expected one for each")
    if len(set(names)) < len(names):
        if options.names:
            raise ValueError("--names: a name occurs twice: expected a name of its own for each generator")
        names = [str(Path(report)) for report in options.reports]
    return names


def _images(options: argparse.Namespace, names: Sequence[str], summaries: dict) -> dict[str, Path | None]:
    """Where the panoramas of each generator are: as --images says, or else where they were scored, None if they are gone."""
    if options.images:
        if len(options.images) != len(names):
            raise ValueError(f"{len(options.images)} sets of images for {len(names)} reports: expected one for each")
        return dict(zip(names, map(Path, options.images), strict=True))
    from clip360.reports.image_sources import find_images

    reports = zip(names, options.reports, strict=True)
    return {name: find_images(summaries[name].get("images"), report) for name, report in reports}


def _print_verdicts(table) -> None:
    from clip360.stats.comparison import UNDECIDED

    for row in table.itertuples():
        decision = row.verdict if row.verdict == UNDECIDED else f"{row.verdict} is better"
        interval = f"[{row.difference_low:.3g}, {row.difference_high:.3g}]"
        print(
            f"{row.metric}, {row.a} - {row.b}: {row.difference:.3g} {interval}, win rate {row.win_rate:.2f}"
            f" ({row.pairing}, {row.n_a} and {row.n_b}): {decision}"
        )


def _print_distances(distances) -> None:
    for warning in distances.warning[distances.warning != ""].unique():
        warn(warning)
    comparisons = distances.groupby(["embeddings", "views", "reference", "generated", "distance"], sort=False)
    for row in comparisons.tail(1).itertuples():  # the only group, or the mean over groups
        unbiased = "" if row.warning else f"without bias {row.estimate:.3g} [{row.low:.3g}, {row.high:.3g}], "
        print(
            f"{row.distance} of {row.views}, {row.embeddings}, {row.generated} to {row.reference}: {row.value:.3g}"
            f" ({unbiased}between halves of the reference {row.floor:.3g})"
        )


def _set_distances(options: argparse.Namespace, images: dict[str, Path | None], inference):
    """Distances of the images of all generators to the reference, or between each pair, by model or features and views."""
    import pandas as pd

    from clip360.reports.image_sources import open_images
    from clip360.reports.set_embeddings import VIEW_GROUPS, clip_embeds, embed_groups, feature_embeds, load_features
    from clip360.stats.comparison import generator_pairs
    from clip360.stats.set_distances import set_distances

    if unknown := [views for views in options.groups if views not in VIEW_GROUPS]:
        raise ValueError(f"groups of views: {unknown[0]!r}: expected one of {', '.join(VIEW_GROUPS)}")
    if missing := [name for name, path in images.items() if path is None]:
        raise ValueError(f"the images of {missing[0]} are not where they were scored: expected --images")
    networks = {}
    if options.model:
        clip = open_clip_of(options)
        networks[clip.name] = (clip_embeds(clip, batch_size=options.batch_size), ("frechet", "cmmd"))
    if options.features:
        features = load_features(options.features, device=options.device)
        embed = feature_embeds(features, device=options.device, batch_size=options.batch_size)
        networks[Path(options.features).stem] = (embed, ("frechet",))  # CMMD's σ is that of unit embeddings
    image_sets = {name: open_images(path) for name, path in images.items()}
    pairs = generator_pairs(list(images), options.baseline)
    if options.reference:
        image_sets |= {options.reference: open_images(options.reference)}
        pairs = [(options.reference, name) for name in images]
    parts = []
    for network, (embed, distances) in networks.items():
        for views in options.groups:
            embeds = {name: embed_groups(embed, image_set, views) for name, image_set in image_sets.items()}
            for reference, generated in pairs:
                table = set_distances(embeds[reference], embeds[generated], inference=inference, distances=distances)
                labels = {"reference": reference, "generated": generated, "embeddings": network, "views": views}
                parts.append(pd.concat([pd.DataFrame(labels, index=table.index), table], axis=1))
    return pd.concat(parts, ignore_index=True)

"""`clip360 card`: how a model treats panoramas, on one page and in one JSON."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from clip360.commands.options import (
    FORMS,
    activation_warning,
    add_inference_options,
    add_model_options,
    inference_of,
    names,
    open_clip_of,
    warn,
)

CUE = "360 panorama"
N_IMAGES = 256


def add_parser(subcommands: argparse._SubParsersAction) -> None:
    """Add the parser of `clip360 card`."""
    parser = subcommands.add_parser(
        "card",
        help="measure how a model treats panoramas: format cues, shifts, views, retrieval, cost",
        description="Measure how a model treats panoramas: whether it uses format cues, how much its score depends on the direction under"
        " each view, what causes that, whether it finds captions, and what it costs.",
        epilog="Writes card.json (every number with its interval, and how it was measured) and card.html (one page that opens no"
        " connection) into the folder of --out. `clip360 leaderboard` compares cards.",
    )
    parser.add_argument("images", help=f"captioned panoramas (2:1): {FORMS}")
    parser.add_argument("--captions", help="table with the columns image and caption (default: IMAGES/captions.csv)")
    parser.add_argument(
        "--cue", help=f"format cue of all panoramas (default: those of the image set; {CUE}, if it has none)"
    )
    add_model_options(parser, required=True, view=False)
    parser.add_argument(
        "--name", help="what the card calls the model (default: the name of its folder or architecture)"
    )
    parser.add_argument("--out", default="card", metavar="CARD", help="folder of the card (default: %(default)s)")
    parser.add_argument(
        "--n-images",
        type=int,
        default=N_IMAGES,
        metavar="N",
        help="the first N panoramas of the set; 0: all (default: %(default)s)",
    )
    parser.add_argument(
        "--views",
        type=names,
        metavar="NAME,...",
        help="views to measure, center_crop and squash among them (default: all five that the model can take: center_crop,"
        " squash, letterbox, wide, multi_view)",
    )
    parser.add_argument("--shifts", type=int, default=16, help="steps of a whole turn (default: %(default)s)")
    parser.add_argument(
        "--windows",
        type=int,
        default=8,
        help="windows of the centre crop, and shifts within each (default: %(default)s)",
    )
    parser.add_argument(
        "--no-speed", action="store_true", help="measure no time: the same panoramas and weights give the same card"
    )
    parser.add_argument("--cache", metavar="FOLDER", help="keep embeddings here: another run computes only what is new")
    add_inference_options(parser)
    parser.set_defaults(run=run, on_interrupt="stopped: no card was written; with --cache, another run continues")


def run(options: argparse.Namespace) -> int:
    """Measure a model and write its card."""
    from clip360.cards.card import make_card
    from clip360.cards.files import write_card
    from clip360.cards.measurements import measure
    from clip360.cards.numbers import require_images
    from clip360.cards.protocol import SQUASH, VIEWS, CardProtocol, require_views
    from clip360.pages.card_page import write_card_page

    inference = inference_of(options)
    protocol = CardProtocol(n_shifts=options.shifts, n_windows=options.windows)
    _require_counts(options)
    require_views(options.views or VIEWS)
    image_set = _image_set(options)
    require_images(len(image_set.table), inference)
    clip = _model(options, SQUASH)
    if mismatch := activation_warning(options):
        warn(mismatch)
    wide, left_out = _wide(options, options.views or VIEWS)
    views = [view for view in options.views or VIEWS if view not in left_out]
    measured = measure(
        clip,
        image_set,
        protocol,
        views=views,
        wide=wide,
        batch_size=options.batch_size,
        cache=options.cache,
        timed=not options.no_speed,
    )
    card = make_card(clip, image_set, protocol, measured, inference=inference, wide=wide, left_out=left_out)
    write_card(options.out, card)
    page = write_card_page(options.out, card)
    print(card["verdict"])
    print(f"{card['image_set']['n']} panoramas, protocol {card['protocol']['hash']}: {page}")
    return 0


def _require_counts(options: argparse.Namespace) -> None:
    for name, least in (("n_images", 0), ("batch_size", 1)):
        if (value := getattr(options, name)) < least:
            raise ValueError(f"--{name.replace('_', '-')} is {value}: expected at least {least}")


def _image_set(options: argparse.Namespace):
    """The first panoramas of the set, each with a format cue."""
    from dataclasses import replace

    from clip360.reports.panorama_sources import open_panoramas

    image_set = open_panoramas(options.images, options.captions).head(options.n_images)
    if options.cue or "cue" not in image_set.table:
        return replace(image_set, table=image_set.table.assign(cue=options.cue or CUE))
    return image_set


def _model(options: argparse.Namespace, view: str):
    """The model under a view, whose scores are not clamped at 0: a change below 0 is a change too."""
    from dataclasses import replace

    clip = open_clip_of(options, view=view)
    protocol = replace(clip.protocol, clamp_at_zero=False)
    return replace(clip, name=options.name or clip.name, protocol=protocol)


def _wide(options: argparse.Namespace, views: Sequence[str]):
    """The model with a network of twice the width, or None, and by view why it is left out."""
    from clip360.cards.inputs import wide_network
    from clip360.cards.protocol import WIDE

    if WIDE not in views:
        return None, {}
    wide, left_out = wide_network(lambda: _model(options, WIDE))
    if left_out and options.views:  # asked for by name
        raise ValueError(f"--views names wide, which {Path(options.model).name} cannot take: {left_out[WIDE]}")
    return wide, left_out

"""`clip360 fetch-panoramas`: disjoint image sets of freely licensed panoramas from the web."""

import argparse
import sys
from pathlib import Path

SETS = ("360_real=256", "360_train=256", "360_held_out=128")  # of the profiles paper and paper_real
HEIGHT = 512  # of arXiv 2604.24642


def add_parser(subcommands: argparse._SubParsersAction) -> None:
    """Add the parser of `clip360 fetch-panoramas`."""
    parser = subcommands.add_parser(
        "fetch-panoramas",
        help="fetch freely licensed panoramas from the web as image sets",
        description="Fetch freely licensed panoramas as image sets that have no panorama in common: from Poly Haven (CC0), or from a"
        " category of Wikimedia Commons (public domain, CC0, CC BY, CC BY-SA).",
        epilog="Each set gets images/, captions.csv, which you may edit, and attribution.csv: authors, licences, addresses and"
        " checksums. Stopped or repeated, the command continues, and changes no caption that is there.",
    )
    parser.add_argument("source", choices=("poly-haven", "commons"), help="where the panoramas come from")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="folder of the image sets")
    parser.add_argument(
        "--sets",
        nargs="+",
        default=list(SETS),
        metavar="NAME=N",
        help=f"image sets and how many panoramas each is to hold (default: {' '.join(SETS)})",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the draw (default: %(default)s)")
    parser.add_argument(
        "--height", type=int, default=HEIGHT, help="height of the images in pixels (default: %(default)s)"
    )
    parser.add_argument(
        "--contact",
        help="your e-mail address or page, sent with every request, as Wikimedia asks; required for commons",
    )
    parser.add_argument("--category", help="category of Wikimedia Commons (default: that of equirectangular panoramas)")
    parser.add_argument("--api", metavar="URL", help="address of the API (default: that of the source)")
    parser.set_defaults(run=run, on_interrupt="stopped: run the same command again to continue")


def run(options: argparse.Namespace) -> int:
    """Fetch image sets and print what they hold; the exit status is 1 if a set has fewer panoramas than asked for, or not all."""
    from clip360.data.images import printable
    from clip360.fetch.image_sets import fetch_image_sets
    from clip360.fetch.web import connect, user_agent

    sizes = _sizes(options.sets)
    if options.height < 1:
        raise ValueError(f"--height is {options.height}: expected at least 1")
    get = connect(user_agent(options.contact))
    source = _source(options, get)
    fetched = fetch_image_sets(get, source, options.folder, sizes, seed=options.seed, height=options.height)
    for sentence in fetched.left_out:
        print(sentence, file=sys.stderr)
    for name, size in fetched.sizes.items():
        print(printable(f"{options.folder / name}: {size} panoramas, {fetched.new[name]} new"))
        if fetched.edited[name]:
            print(f"  rows of captions.csv that you edited, kept: {_listed(fetched.edited[name])}")
        if fetched.removed[name]:
            print(f"  panoramas that you removed, not fetched again: {_listed(fetched.removed[name])}")
        if lost := fetched.lost.get(name):
            print(f"  not to be had any more; without their rows, others take their places: {_listed(lost)}")
    print(f"left out: {len(fetched.left_out)}; {source.credit}")
    missing = {name: size for name, size in sizes.items() if fetched.sizes[name] < size}
    for name, size in missing.items():
        print(f"{options.folder / name}: {source.name} has no more, expected {size}: lower --sets", file=sys.stderr)
    return int(bool(missing or any(fetched.lost.values())))


def _sizes(sets: list[str]) -> dict[str, int]:
    """The number of panoramas of each set in NAME=N; ValueError for another form, and for a name that occurs twice."""
    from clip360.fetch.image_sets import require_set_name

    sizes = {}
    for text in sets:
        name, _, number = text.partition("=")
        if not number.isdecimal() or int(number) < 1:
            raise ValueError(f"--sets: {text!r}: expected NAME=N, such as 360_real=256")
        require_set_name(name)
        if name in sizes:
            raise ValueError(f"--sets: {name} occurs twice: expected each image set once")
        sizes[name] = int(number)
    return sizes


def _source(options: argparse.Namespace, get):
    """The source that the options name; ValueError for options that do not belong to it."""
    from clip360.fetch import commons, poly_haven

    if options.source == "poly-haven":
        if options.category:
            raise ValueError("--category: Poly Haven has none, expected it with commons")
        return poly_haven.PolyHaven(get, options.api or poly_haven.API)
    if not options.contact:
        raise ValueError(
            "--contact is missing: Wikimedia asks for an e-mail address or a page of whoever runs a client"
        )
    category = options.category or commons.CATEGORY
    return commons.Commons(get, height=options.height, category=category, api=options.api or commons.API)


def _listed(names: list[str], count: int = 10) -> str:
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")

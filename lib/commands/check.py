"""`clip360 check`: every problem of image sets."""

import argparse
from pathlib import Path

from clip360.commands.options import FORMS


def add_parser(subcommands: argparse._SubParsersAction) -> None:
    """Add the parser of `clip360 check`."""
    parser = subcommands.add_parser(
        "check",
        help="list every problem of image sets",
        description="List every problem of image sets: missing, unreadable, wrongly shaped or doubled images, visible seams,"
        " empty or over-long captions.",
        epilog="Prints the problems of each set, one a line; with --sheet, writes a contact sheet of each folder, NAME.png. The"
        " exit status is 1 if a set has errors, with which it cannot be scored; warnings leave it 0.",
    )
    parser.add_argument("sets", nargs="+", metavar="IMAGES", help=f"an image set: {FORMS}")
    parser.add_argument("--sheet", metavar="FOLDER", help="write a contact sheet of each set into this folder")
    parser.set_defaults(run=run, on_interrupt="stopped: the remaining image sets are unchecked")


def run(options: argparse.Namespace) -> int:
    """Print the problems of image sets and draw their contact sheets."""
    import clip360.models  # noqa: F401  must run before open_clip is imported

    # isort: split
    import open_clip

    from clip360.data.checks import check_image_set
    from clip360.reports.image_sources import check_source, is_folder_of_images

    sets = [Path(path) for path in options.sets]
    for path in sets:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist: expected {FORMS}")
        if options.sheet and not is_folder_of_images(path):
            raise ValueError(f"--sheet: {path} is no folder of images, of which a contact sheet can be drawn")
    tokenizer = open_clip.get_tokenizer("ViT-B-32")  # of all CLIPs
    has_errors = False
    for path in sets:
        check = check_image_set if is_folder_of_images(path) else check_source
        problems = check(path, tokenizer=tokenizer)
        has_errors |= "error" in set(problems.severity)
        n_errors, n_warnings = ((problems.severity == severity).sum() for severity in ("error", "warning"))
        print(f"{path}: errors {n_errors}, warnings {n_warnings}")
        for problem in problems.itertuples():
            print(f"  {problem.severity}: {problem.file} {problem.problem}: {problem.advice}")
        if options.sheet:
            print(f"  contact sheet: {_write_contact_sheet(path, problems, Path(options.sheet))}", flush=True)
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

"""`clip360 leaderboard`: several cards in one table."""

import argparse


def add_parser(subcommands: argparse._SubParsersAction) -> None:
    """Add the parser of `clip360 leaderboard`."""
    parser = subcommands.add_parser(
        "leaderboard",
        help="put cards of several models into one table",
        description="Put cards of several models into one table. Cards of another protocol or another image set are refused.",
        epilog="Writes leaderboard.html, leaderboard.csv (all numbers, with intervals) and leaderboard.md into the folder of --out.",
    )
    parser.add_argument("cards", nargs="+", metavar="CARD", help="folder of a card, or its card.json")
    parser.add_argument(
        "--out", default="leaderboard", metavar="FOLDER", help="folder of the table (default: %(default)s)"
    )
    parser.add_argument(
        "--sort",
        default="instability_squash",
        metavar="COLUMN",
        help="column of leaderboard.csv to sort by, the best first (default: %(default)s)",
    )
    parser.set_defaults(run=run, on_interrupt="stopped: no table was written")


def run(options: argparse.Namespace) -> int:
    """Read cards and write their table."""
    from clip360.cards.files import read_card
    from clip360.cards.leaderboard import make_leaderboard, write_leaderboard
    from clip360.data.images import printable
    from clip360.pages.leaderboard_page import write_leaderboard_page

    if len(set(options.cards)) < len(options.cards):
        raise ValueError("a card is named twice: expected each once")
    cards = {path: read_card(path) for path in options.cards}
    board = make_leaderboard(cards, sort=options.sort)
    write_leaderboard(options.out, board)
    page = write_leaderboard_page(options.out, **board.on_page(), card=cards[options.cards[0]])
    print(f"{len(cards)} cards, first by {board.sort}: {printable(board.table.model[0])}: {page}")
    return 0

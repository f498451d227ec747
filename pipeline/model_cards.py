"""Write a shift card of each model on the first image set, and their leaderboard, as `clip360 card` and `clip360 leaderboard` do.

    python -m pipeline.model_cards

Writes the cards to figures/cards/MODEL and the leaderboard to figures/cards. They contain no measured time, so that the same inputs give the same bytes.
"""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from clip360.cards.card import make_card
from clip360.cards.files import write_card
from clip360.cards.leaderboard import make_leaderboard, write_leaderboard
from clip360.cards.measurements import measure
from clip360.cards.numbers import require_images
from clip360.cards.protocol import SQUASH, VIEWS, WIDE, CardProtocol
from clip360.models.clip import Clip
from clip360.pages.card_page import write_card_page
from clip360.pages.leaderboard_page import write_leaderboard_page
from clip360.stats.inference import Inference
from pipeline.error_messages import report
from pipeline.inputs import read_image_set, read_model
from pipeline.outputs import folder_written_at_once
from pipeline.parameters import Parameters, read_params


def wide_network(params: Parameters, model: str) -> tuple[Clip | None, dict[str, str]]:
    """The model with a network of twice the width, or None and why it has none."""
    try:
        return read_model(params, model, view=WIDE, clamp_at_zero=False), {}
    except ValueError as error:
        return None, {WIDE: str(error)}


def model_card(params: Parameters, model: str) -> dict:
    """The card of a model on the first image set."""
    inference, protocol = Inference(**params.inference.model_dump()), CardProtocol()
    clip = read_model(params, model, view=SQUASH, clamp_at_zero=False)
    image_set = read_image_set(params, params.image_sets[0], clip).head(params.model_cards.n_images)
    require_images(len(image_set.table), inference)
    wide, left_out = wide_network(params, model)
    views = [view for view in VIEWS if view not in left_out]
    measured = measure(
        clip, image_set, protocol, views=views, wide=wide, batch_size=params.compute.batch_size, timed=False
    )
    return make_card(clip, image_set, protocol, measured, inference=inference, wide=wide, left_out=left_out)


def main(*arguments: str) -> None:
    argparse.ArgumentParser(prog="python -m pipeline.model_cards", description=__doc__).parse_args(arguments)
    params = read_params(inputs=True)
    cards = {model: model_card(params, model) for model in params.models}
    board = make_leaderboard(cards)
    shown = [asdict(column) for column in board.columns if column.name in board.shown]
    with folder_written_at_once(Path(params.figures, "cards")) as folder:
        for model, card in cards.items():
            write_card(folder / model, card)
            write_card_page(folder / model, card)
        write_leaderboard(folder, board)
        rows, first = board.table.to_dict("records"), cards[params.models[0]]
        write_leaderboard_page(folder, rows, shown, sort=board.sort, card=first)


if __name__ == "__main__":
    report(main, *sys.argv[1:])

"""Write a shift card of each model on the first image set, and their leaderboard, as `clip360 card` and `clip360 leaderboard` do.

    python -m pipeline.model_cards

Writes the cards to figures/cards/MODEL and the leaderboard to figures/cards. They contain no measured time, so that the same inputs give the same bytes.
"""

import argparse
import sys
from pathlib import Path

from clip360.cards.card import make_card
from clip360.cards.files import write_card
from clip360.cards.inputs import wide_network
from clip360.cards.leaderboard import make_leaderboard, write_leaderboard
from clip360.cards.measurements import measure
from clip360.cards.numbers import require_images
from clip360.cards.protocol import SQUASH, VIEWS, WIDE, CardProtocol
from clip360.pages.card_page import write_card_page
from clip360.pages.leaderboard_page import write_leaderboard_page
from clip360.stats.inference import Inference
from pipeline.error_messages import report
from pipeline.inputs import read_image_set, read_model
from pipeline.outputs import folder_written_at_once
from pipeline.parameters import Parameters, read_params


def model_card(params: Parameters, model: str) -> dict:
    """The card of a model on the first image set."""
    inference, protocol = Inference(**params.inference.model_dump()), CardProtocol()
    clip = read_model(params, model, view=SQUASH, clamp_at_zero=False)
    image_set = read_image_set(params, params.image_sets[0], clip).head(params.model_cards.n_images)
    require_images(len(image_set.table), inference)
    wide, left_out = wide_network(lambda: read_model(params, model, view=WIDE, clamp_at_zero=False))
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
    with folder_written_at_once(Path(params.figures, "cards")) as folder:
        for model, card in cards.items():
            write_card(folder / model, card)
            write_card_page(folder / model, card)
        write_leaderboard(folder, board)
        write_leaderboard_page(folder, **board.on_page(), card=cards[params.models[0]])


if __name__ == "__main__":
    report(main, *sys.argv[1:])

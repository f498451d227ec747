"""Leaderboards: their order, what they refuse, and the files of cards."""

import json

import pandas as pd
import pytest

from clip360.cards.files import read_card, write_card
from clip360.cards.leaderboard import make_leaderboard, markdown, write_leaderboard
from tests.small_cards import written_card

CARDS = {
    "c": written_card("c", squash=0.5, center_crop=0.4),
    "a": written_card("a", squash=None, center_crop=0.6),
    "b": written_card("b", squash=0.3, center_crop=0.6),
    "none": written_card("none", center_crop=0.1),
}


def test_the_best_comes_first_and_missing_numbers_last(tmp_path):
    board = make_leaderboard(CARDS)
    assert board.table.model.tolist() == ["b", "c", "a", "none"]
    assert make_leaderboard(CARDS, sort="instability_center_crop").table.model.tolist() == ["none", "c", "a", "b"]
    faster = {**CARDS, "c": written_card("c", squash=0.5)}
    faster["c"]["views"]["squash"]["panoramas_per_second"] = 99.0
    assert make_leaderboard(faster, sort="panoramas_per_second").table.model[0] == "c"
    write_leaderboard(tmp_path, board)
    table = pd.read_csv(tmp_path / "leaderboard.csv").set_index("model")
    assert table.loc["b", ["instability_squash", "instability_squash_low", "instability_squash_high"]].tolist() == [
        0.3,
        0.2,
        0.4,
    ]
    assert table.loc["a"].isna().instability_squash and table.loc["a", "parameters"] == pytest.approx(151.277)
    lines = (tmp_path / "leaderboard.md").read_text(encoding="utf-8").splitlines()
    assert lines[2].startswith("| b ") and "0.30 [0.20, 0.40]" in lines[2] and "–" in lines[4]


def test_a_model_cannot_end_its_cell_of_a_table():
    assert "a\\|b" in markdown(make_leaderboard({"x": written_card("a|b", squash=0.5)}))


def test_cards_of_other_protocols_or_images_are_refused():
    other = written_card("d", squash=0.5)
    other["protocol"] = {"hash": "87654321", "definition": other["protocol"]["definition"] | {"n_shifts": 8}}
    with pytest.raises(ValueError, match=r"a and d have different protocols \(n_shifts: 16 and 8\)"):
        make_leaderboard({"a": CARDS["a"], "d": other})
    other = written_card("d", squash=0.5)
    other["image_set"] |= {"sha256": "b" * 64, "name": "other"}
    with pytest.raises(
        ValueError, match=r"a and d were measured on different image sets \(set \(8\) and other \(8\)\)"
    ):
        make_leaderboard({"a": CARDS["a"], "d": other})
    with pytest.raises(
        ValueError, match="--sort is 'instability_sqash', which no card has.*did you mean instability_squash"
    ):
        make_leaderboard(CARDS, sort="instability_sqash")


def test_files_that_are_no_cards_are_refused(tmp_path):
    write_card(tmp_path / "a", CARDS["a"])
    assert read_card(tmp_path / "a") == read_card(tmp_path / "a" / "card.json") == CARDS["a"]
    for name, text in (
        ("empty", ""),
        ("other", "{}"),
        ("list", "[1]"),
        ("views", json.dumps(CARDS["a"] | {"views": {}})),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=f"{name} is no card: expected the folder or file that clip360 card wrote"):
            read_card(tmp_path / name)
    with pytest.raises(ValueError, match="nowhere is no card"):
        read_card(tmp_path / "nowhere")
    write_card(tmp_path / "old", CARDS["a"] | {"format": 0})
    with pytest.raises(ValueError, match="has format 0: expected 1; write the card again"):
        read_card(tmp_path / "old")

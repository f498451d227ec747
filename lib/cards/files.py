"""The file of a card, written and read."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clip360.cards.protocol import FORMAT, SQUASH
from clip360.data.image_set import printable
from clip360.reports.text_files import write_text

JSON = "card.json"


def write_card(folder: str | Path, card: Mapping[str, Any]) -> Path:
    """Write ``folder``/card.json, complete or not at all; returns its path."""
    path = Path(folder, JSON)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def read_card(path: str | Path) -> dict[str, Any]:
    """The card in a folder, or in the file ``path``; ValueError where it is none, or one of another format."""
    path = Path(path)
    file = path / JSON if path.is_dir() else path
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
        written = card["format"]
        _require_keys(card)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{printable(file)} is no card: expected the folder or file that clip360 card wrote"
        ) from error
    if written != FORMAT:
        raise ValueError(f"{printable(file)} has format {written!r}: expected {FORMAT}; write the card again")
    return card


def _require_keys(card: Mapping[str, Any]) -> None:
    """KeyError, TypeError or ValueError for a card without what tables of cards need."""
    texts = [card["protocol"]["hash"], card["image_set"]["sha256"], card["image_set"]["name"]]
    texts += [card["model"]["name"], card["model"]["weights_sha256"]]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("expected text")
    float(card["model"]["parameters"]["all"])
    card["views"][SQUASH]
    for measure in card["measures"].values():
        measure["label"], measure["short"], measure["unit"], measure["meaning"], measure["better"]
    for view in card["views"].values():
        float(view["gflop"]), float(view["panoramas_per_second"] or 0)
        for number in view["numbers"].values():
            if number["value"] is not None:
                float(number["value"]), float(number["low"]), float(number["high"])

"""How the stages of fine-tuning read their panoramas and their runs."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from PIL import Image

from pipeline.finetuned import read_offset_panoramas, read_run, read_training_panoramas

ROWS = {"c.jpg": "a", "b.jpg": "b", "a.jpg": "c"}  # sorted file names pair the captions otherwise


def image_set(folder: Path, rows: dict[str, str]) -> Path:
    (folder / "images").mkdir(parents=True)
    for name in rows:
        Image.new("RGB", (8, 4)).save(folder / "images" / name)
    pd.DataFrame({"image": list(rows), "caption": list(rows.values())}).to_csv(folder / "captions.csv", index=False)
    return folder


@pytest.fixture
def params(tmp_path):
    """The parameters that decide which panoramas are read."""
    training, offset = (str(image_set(tmp_path / name, ROWS)) for name in ("training", "offset"))
    return SimpleNamespace(
        finetune=SimpleNamespace(image_set=training, offset_image_set=offset, n_validation=1),
        runs={"one": "run"},
        protocol=SimpleNamespace(pairing="name"),
    )


@pytest.mark.parametrize(("pairing", "images"), [("name", list(ROWS)), ("order", sorted(ROWS))])
def test_panoramas_and_captions_are_paired_as_the_protocol_says(params, pairing, images):
    params.protocol.pairing = pairing
    training, validation = read_training_panoramas(params)
    offset = read_offset_panoramas(params, training)
    for panoramas in (training, offset):
        assert panoramas.table.image.tolist() == images[:2] and panoramas.table.caption.tolist() == ["a", "b"]
    assert validation.table.image.tolist() == images[2:] and validation.name == "validation"


def test_by_order_only_files_that_end_in_jpg_are_counted(params):
    """As the released training lists them; the released probes list all images."""
    for folder in (params.finetune.image_set, params.finetune.offset_image_set):
        for name in ("0.png", "b.JPG", "b.jpeg"):
            Image.new("RGB", (8, 4)).save(Path(folder, "images", name))
    with pytest.raises(ValueError, match="has no row in captions.csv"):
        read_training_panoramas(params)
    params.protocol.pairing = "order"
    training, validation = read_training_panoramas(params)
    offset = read_offset_panoramas(params, training)
    assert training.table.image.tolist() == offset.table.image.tolist() == ["a.jpg", "b.jpg"]
    assert validation.table.image.tolist() == ["c.jpg"]
    Path(params.finetune.image_set, "images", "a.jpg").unlink()
    with pytest.raises(
        ValueError, match="3 captions but there are 2 images that end in .jpg: .* or set protocol.pairing"
    ):
        read_training_panoramas(params)


def test_without_validation_panoramas_all_are_trained_on(params):
    params.finetune.n_validation = 0
    training, validation = read_training_panoramas(params)
    assert len(training.table) == 3 and validation is None


def test_faults_are_reported_in_one_sentence(params, tmp_path):
    with pytest.raises(
        ValueError,
        match="finetune.runs and adaptation.runs in params.yaml have no run onr: choose one of one; did you mean",
    ):
        read_run(params, "onr")
    params.finetune.n_validation = 3
    with pytest.raises(ValueError, match="n_validation is 3: expected at least 0 and fewer than the 3 panoramas of"):
        read_training_panoramas(params)
    params.finetune.n_validation = 1
    params.finetune.offset_image_set = str(image_set(tmp_path / "few", {"a.jpg": "a"}))
    with pytest.raises(ValueError, match="few has 1 panoramas: expected one for each of the 2 of .*training, render"):
        read_offset_panoramas(params, read_training_panoramas(params)[0])

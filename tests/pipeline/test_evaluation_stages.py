"""The stages that score and evaluate models: pairing, messages about wrong names, outputs that are whole or not there."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from clip360.data.image_set import ImageRecord, write_image_set
from clip360.models.clip import load_clip
from pipeline import capabilities, evaluate_model, evaluate_pretraining, match_attributes, tradeoff, train_clip
from pipeline.inputs import load_probe_set, read_image_set, read_model
from pipeline.outputs import (
    folder_written_at_once,
    read_text_embeddings,
    write_measurements,
    write_text_embeddings,
    written_at_once,
)
from pipeline.parameters import Parameters, PretrainedModel, TrainingFree, parse, validate
from pipeline.profiles import compose
from tests.small_clips import TEXT, VISION, small_clip

SHUFFLED = ["2.jpg", "0.jpg", "1.jpg"]


@pytest.fixture(scope="module")
def tiny() -> Parameters:
    return validate(parse(compose("tiny"), "tiny"), "tiny")


@pytest.fixture
def params(tiny, tmp_path, monkeypatch) -> Parameters:
    """Parameters of a profile in an empty folder, with two image sets whose captions are not in the order of file names."""
    monkeypatch.chdir(tmp_path)
    for name in ("data/probe", "finetune"):
        records = [
            ImageRecord(f"{k}.jpg", torch.full((3, 16, 32), 80 * k).byte(), f"level {k}", "photo") for k in range(3)
        ]
        write_image_set(tmp_path / name, records)
        path = tmp_path / name / "captions.csv"
        pd.read_csv(path).set_index("image").loc[SHUFFLED].reset_index().to_csv(path, index=False)
    finetune = tiny.finetune.model_copy(update={"image_set": "finetune", "n_validation": 1})
    changes = {"data": "data", "image_sets": ["probe"], "models": ["small"], "finetune": finetune}
    return tiny.model_copy(update=changes)


def paired_by(params: Parameters, pairing: str) -> Parameters:
    return params.model_copy(update={"protocol": params.protocol.model_copy(update={"pairing": pairing})})


def pairs(image_set) -> list[tuple[str, str]]:
    return list(zip(image_set.table.image, image_set.table.caption, strict=True))


PAIRS = {
    "name": [("2.jpg", "level 2"), ("0.jpg", "level 0"), ("1.jpg", "level 1")],
    "order": [("0.jpg", "level 2"), ("1.jpg", "level 0"), ("2.jpg", "level 1")],
}


@pytest.mark.parametrize("pairing", PAIRS)
def test_all_stages_pair_images_and_captions_as_the_protocol_says(params, pairing, tmp_path, monkeypatch):
    params = paired_by(params, pairing)
    expected = PAIRS[pairing]
    clip = small_clip(tmp_path / "results" / "tiny" / "models" / "small")
    assert pairs(load_probe_set(params, "probe")) == expected
    assert pairs(read_image_set(params, "probe", read_model(params, "small"))) == expected

    sets = list(tradeoff.read_image_sets(params))
    assert [pairs(image_set) for image_set in sets] == [expected, expected[:1], expected[2:]]

    received = []

    def record(params, clip, image_set):
        received.append(pairs(image_set))
        return []

    monkeypatch.setattr(capabilities, "evaluate_image_set", record)
    assert list(capabilities.evaluate_capabilities(params, clip)) == []
    assert received == [expected]

    received.clear()
    if pairing == "order":  # of the panoramas of fine-tuning only those in .jpg files count
        (tmp_path / "finetune" / "images" / "0.png").touch()
    rendered = {"finetune": params.rendered_sets["finetune"]}
    params = params.model_copy(update={"rendered_sets": rendered})
    assert pairs(match_attributes.read_training_scenes(params)[1]) == expected
    for name in ("embed_crops", "train_matchers", "blind_scorers"):
        monkeypatch.setattr(match_attributes, name, lambda *_: None)
    monkeypatch.setattr(match_attributes, "read_scenes", lambda _, image_set: received.append(pairs(image_set)))
    assert list(match_attributes.match(params, clip)) == [] and received == [expected]


def test_unknown_names_are_reported_with_the_choices(params, monkeypatch):
    with pytest.raises(ValueError, match="has no model big: choose one of small"):
        read_model(params, "big")
    with pytest.raises(ValueError, match="has no image set other: choose one of probe"):
        load_probe_set(params, "other")
    for stage in (evaluate_model, train_clip):
        monkeypatch.setattr(stage, "read_params", lambda: params)
    with pytest.raises(
        ValueError, match="adaptation.training_free in params.yaml has no model big: choose one of clip_p30"
    ):
        evaluate_model.main("--training-free", "big")
    with pytest.raises(ValueError, match="no run big.*choose one of tiny_p30"):
        evaluate_model.main("big")
    with pytest.raises(ValueError, match="has no model big: choose one of clip_p00, clip_p30"):
        train_clip.main("big")


def test_a_run_with_a_view_of_its_own_is_measured_beside_the_frozen_model_in_that_view(params, tmp_path):
    """A run without one, or with that of the protocol, needs no other measurement than the frozen model's."""
    small_clip(tmp_path / "results" / "tiny" / "models" / "small")
    write_text_embeddings({"a text": torch.ones(2)}, params, "small")
    run = params.adaptation.runs["tiny_p30_distilled"].model_copy(update={"model": "small", "view": None})
    own = run.model_copy(update={"view": "squash"})
    runs = {"run": run, "own": own, "same": run.model_copy(update={"view": params.protocol.view})}
    params = params.model_copy(update={"adaptation": params.adaptation.model_copy(update={"runs": runs})})
    measured = {name: list(evaluate_model.references(params, name)) for name in runs}
    assert measured["run"] == measured["same"] == []
    (frozen,) = measured["own"]
    assert (frozen.name, frozen.view, list(frozen.text_cache)) == ("small, squash", "squash", ["a text"])


def test_a_training_free_method_uses_the_network_as_its_parameters_say(params, tmp_path):
    """Panoramas as wide as the network's input: an adaptive grid with positions of rows gives all shifts one score."""
    small_clip(tmp_path / "results" / "tiny" / "models" / "small", seed=2)  # its scores are positive
    noise = torch.randint(0, 256, (3, 3, 16, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    for folder in ("data/probe", "finetune"):
        write_image_set(
            tmp_path / folder,
            [ImageRecord(f"{k}.jpg", image, f"level {k}", "photo") for k, image in enumerate(noise)],
        )
    kinds = {
        "plain": {"method": "single_pass_squash"},
        "rows": {"method": "single_pass_adaptive_rows", "tokenisation": "adaptive", "positional_embedding": "rows"},
        "pooled": {"method": "single_pass_row_means", "pooling": "row_means"},
    }
    methods = {name: TrainingFree(model="small", view="squash", **entry) for name, entry in kinds.items()}
    adaptation = params.adaptation.model_copy(update={"training_free": {"small": methods}})
    no_scenes = params.crop_or_model.model_copy(update={"scenes": {}})
    params = params.model_copy(update={"adaptation": adaptation, "crop_or_model": no_scenes})
    table = pd.concat(tradeoff.measure_training_free(params, "small"))
    scores = table[(table.measure == "clip_score") & (table.condition == "shift") & (table.image_set == "probe")]
    spread = scores.groupby(["model", "image"]).value.agg(lambda x: x.max() - x.min())
    assert (spread["rows"] < 1e-3).all() and (spread["plain"] > 1e-2).all()
    unshifted = scores[scores.level == 0].pivot(index="image", columns="model", values="value")
    assert ((unshifted.pooled - unshifted.plain).abs() > 1e-3).all()


def test_a_stage_without_its_argument_prints_its_usage(capsys):
    for stage in (evaluate_model, match_attributes, train_clip):
        with pytest.raises(SystemExit) as stopped:
            stage.main()
        assert stopped.value.code == 2 and "usage: python -m pipeline." in capsys.readouterr().err
        with pytest.raises(SystemExit) as stopped:
            stage.main("--help")
        assert stopped.value.code == 0 and "Writes" in capsys.readouterr().out


def test_a_stage_that_is_stopped_leaves_the_output_of_the_last_one(params, tmp_path):
    write_measurements([pd.DataFrame({"value": [1.0]})], params, "tradeoff", "run")
    path = tmp_path / "results/tiny/measurements/tradeoff/run.parquet"
    with pytest.raises(KeyboardInterrupt), written_at_once(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert pd.read_parquet(path).value.tolist() == [1.0]
    folder = tmp_path / "results/tiny/token_analysis/run"
    for content, stops in (("whole", False), ("half", True)):
        try:
            with folder_written_at_once(folder) as partial:
                (partial / "rolls").write_text(content)
                assert partial.parent == folder.parent  # a rename within one disk
                if stops:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            pass
    assert (folder / "rolls").read_text() == "whole"
    assert not list(tmp_path.rglob("*.partial"))


def test_text_embeddings_come_back_as_written(params):
    embeddings = {"a text": torch.tensor([1.0, 2.0]), "": torch.tensor([3.0, 4.0])}
    with pytest.raises(FileNotFoundError, match="run `python -m pipeline.evaluate_model --frozen small`"):
        read_text_embeddings(params, "small")
    write_text_embeddings(embeddings, params, "small")
    stored = read_text_embeddings(params, "small")
    assert list(stored) == list(embeddings) and all(torch.equal(stored[x], embeddings[x]) for x in stored)


def training_pictures(folder: Path) -> None:
    for part, n, width in (("views", 64, 32), ("panoramas", 64, 64), ("held_out", 256, 32)):
        (folder / part).mkdir(parents=True)
        generator = torch.Generator().manual_seed(n + width)
        save_file(
            {"images": torch.randint(256, (n, 3, 32, width), generator=generator).byte()},
            folder / part / "images.safetensors",
        )
        texts = [f"number {k}" for k in range(n)]
        pd.DataFrame({"image": range(n), "caption_number": 0, "cue": "photo", "caption": texts}).to_csv(
            folder / part / "captions.csv", index=False
        )
    labels = pd.DataFrame({"scene_category": ["beach"] * 256, "shape": ["cube"] * 256, "colour": ["red"] * 256})
    labels.to_csv(folder / "held_out" / "labels.csv", index=False)


def test_a_model_is_trained_saved_and_evaluated(params, tmp_path, monkeypatch):
    architecture = params.pretraining.architecture
    architecture = architecture.model_copy(
        update={
            "embed_dim": 32,
            "vision_cfg": architecture.vision_cfg.model_copy(update=VISION),
            "text_cfg": architecture.text_cfg.model_copy(update=TEXT),
        }
    )
    optimisation = params.pretraining.optimisation.model_copy(update={"steps": 2, "batch_size": 8, "warmup_steps": 1})
    pretraining = params.pretraining.model_copy(
        update={
            "models": {
                "small": PretrainedModel(panorama_fraction=0.25),
                "other": PretrainedModel(panorama_fraction=0.0, n_images=48),
            },
            "n_images": 64,
            "architecture": architecture,
            "optimisation": optimisation,
        }
    )
    params = params.model_copy(update={"pretraining": pretraining})
    for stage in (train_clip, evaluate_pretraining):
        monkeypatch.setattr(stage, "read_params", lambda: params)
    training_pictures(params.results / "training_pictures")
    for model in ("small", "other"):
        train_clip.main(model)
        assert load_clip(params.results / "models" / model).name == model
        history = pd.read_csv(params.results / "pretraining" / f"{model}_history.csv")
        assert history.columns.tolist() == ["step", "loss", "logit_scale"] and len(history) == 2
    evaluate_pretraining.main()
    table = pd.read_parquet(params.results / "pretraining_evaluation.parquet")
    assert table.columns.tolist() == ["model", "task", "image", "hit", "chance"]
    assert table.model.unique().tolist() == ["small", "other"] and table.task.nunique() == 6
    assert not list(tmp_path.rglob("*.partial"))


def test_without_trained_models_the_evaluation_is_an_empty_table(params, monkeypatch):
    pretraining = params.pretraining.model_copy(update={"models": {}})
    params = params.model_copy(update={"pretraining": pretraining, "training_pictures": None})
    for stage in (train_clip, evaluate_pretraining):
        monkeypatch.setattr(stage, "read_params", lambda: params)
    evaluate_pretraining.main()
    table = pd.read_parquet(params.results / "pretraining_evaluation.parquet")
    assert table.columns.tolist() == ["model", "task", "image", "hit", "chance"] and table.empty
    with pytest.raises(ValueError, match="has no model small: this profile trains no model"):
        train_clip.main("small")

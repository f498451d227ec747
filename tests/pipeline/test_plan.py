"""The plan of a run: its counts against what stages really compute, its operations against closed forms, its messages."""

import json
import subprocess
from pathlib import Path

import open_clip
import pandas as pd
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import clip360.models  # noqa: F401  before open_clip
from clip360.finetune.lora import TARGETS, attach_lora, check_adapters
from clip360.finetune.methods import find_method, trained_weights
from clip360.models.clip import load_clip, new_clip, save_weights, write_configuration
from pipeline import (
    analyse_tokens,
    evaluate_model,
    finetune,
    inputs,
    live_figure,
    match_attributes,
    model_cards,
    render_control_views,
    render_image_set,
    render_viewpoints,
    score_probes,
    score_protocol_ablations,
    score_view_modes,
)
from pipeline.error_messages import report
from pipeline.parameters import Parameters, parse, validate
from pipeline.plan import __main__ as plan
from pipeline.plan.context import Context
from pipeline.plan.estimate import work_of
from pipeline.plan.image_sets import Assumed
from pipeline.plan.limits import other_activations
from pipeline.plan.networks import Network
from pipeline.plan.page import TABLES, by_kind, describe, make_plan
from pipeline.plan.rates import REFERENCE, given, seconds
from pipeline.plan.training import checked_images
from pipeline.plan.work import Work
from pipeline.profiles import compose
from pipeline.stages import Stage, expand, stages_of

MODEL, RUN = "clip_p30", "tiny_p30_omniview_moved"


def params_of(profile: str, **sections) -> Parameters:
    return validate(parse(compose(profile), profile) | sections, profile)


def work(params: Parameters, name: str) -> Work:
    """The planned work of the stage of that name."""
    stage = next(stage for stage in stages_of(params) if stage.name == name)
    return work_of(Context(params, Assumed(10, 64)), stage)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """A folder with the parameters of tiny, its rendered image sets, and one of its models, untrained."""
    folder = tmp_path_factory.mktemp("plan")
    for name in ("profiles", "notebooks", "data", "figures", "dvc.yaml"):
        (folder / name).symlink_to(Path(name).resolve())
    (folder / "params.yaml").write_text(compose("tiny"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("probe", "finetune", "finetune_moved"):
            render_image_set.main(name)
        render_control_views.main()
        render_viewpoints.main()
        model = Path("results/tiny/models", MODEL)
        write_configuration(model, params_of("tiny").pretraining.architecture.model_dump())
        save_weights(new_clip(model, seed=0, device="cpu"), model)
    return folder


@pytest.fixture
def passes(tiny, monkeypatch) -> dict[str, int]:
    """How many images and texts the towers of the models encode that a stage loads from now on, in the folder ``tiny``."""
    monkeypatch.chdir(tiny)
    found = {"images": 0, "texts": 0}

    def load_and_count(*arguments, **options):
        clip = load_clip(*arguments, **options)

        def count(kind: str):
            def hook(module, inputs, output):
                if not module.training:
                    found[kind] += len(inputs[0])

            return hook

        clip.network.visual.ln_pre.register_forward_hook(count("images"))
        clip.network.token_embedding.register_forward_hook(count("texts"))
        return clip

    monkeypatch.setattr(inputs, "load_clip", load_and_count)
    return found


@pytest.mark.parametrize(
    ("stage", "script", "arguments"),
    [
        (f"score_probes@{MODEL}-probe", score_probes, (MODEL, "probe")),
        (f"score_protocol_ablations@{MODEL}", score_protocol_ablations, (MODEL,)),
        (f"score_view_modes@{MODEL}", score_view_modes, (MODEL,)),
        (f"analyse_tokens@{MODEL}", analyse_tokens, (MODEL,)),
        (f"evaluate_training_free@{MODEL}", evaluate_model, ("--training-free", MODEL)),
        (f"evaluate_frozen@{MODEL}", evaluate_model, ("--frozen", MODEL)),
        (f"match_attributes@{MODEL}", match_attributes, (MODEL,)),
    ],
)
def test_a_stage_encodes_as_many_images_and_texts_as_planned(passes, stage, script, arguments):
    """The last two share captions: the plan does not know that two rendered panoramas may have the same."""
    planned = work(params_of("tiny"), stage)
    script.main(*arguments)
    assert planned.image_passes == passes["images"] > 0
    assert planned.text_passes == pytest.approx(passes["texts"], rel=0.01) and passes["texts"] > 0


def test_texts_of_a_set_without_known_scenes_are_counted_once(passes, monkeypatch):
    sections = parse(compose("tiny"), "tiny")
    sections["crop_or_model"]["scenes"] = {}
    params = validate(sections, "tiny")
    planned = work(params, f"evaluate_frozen@{MODEL}")
    monkeypatch.setattr(evaluate_model, "read_params", lambda: params)
    evaluate_model.main("--frozen", MODEL)
    assert planned.image_passes == passes["images"] > 0
    assert planned.text_passes == pytest.approx(passes["texts"], rel=0.05) and passes["texts"] > 0


@pytest.mark.parametrize("kind", ["live_figure", "model_cards"])
def test_pages_embed_as_many_images_and_texts_as_planned(passes, kind):
    params = params_of("tiny").model_copy(update={"models": [MODEL]})
    planned = work_of(Context(params, Assumed(10, 64)), Stage(kind, kind, (), ""))
    live_figure.all_scores(params) if kind == "live_figure" else model_cards.model_card(params, MODEL)
    assert planned.image_passes == passes["images"] > 0
    assert planned.text_passes == pytest.approx(passes["texts"], rel=0.05) and passes["texts"] > 0


def test_the_check_of_adapters_embeds_as_many_images_as_planned(tmp_path):
    """Of both kinds, as notebook 04 checks them; attaching those of attention checks them already."""
    params, found = params_of("tiny"), []
    architecture, lora = params.pretraining.architecture.model_dump(), params.finetune.lora
    write_configuration(tmp_path, architecture)
    for targets in TARGETS:
        clip = new_clip(tmp_path, seed=0, device="cpu")
        clip.network.visual.ln_pre.register_forward_hook(lambda module, inputs, output: found.append(len(inputs[0])))
        check_adapters(attach_lora(clip, targets=targets, **lora.model_dump()))
    network = Network("tiny", architecture)
    assert sum(found) == sum(checked_images(network, name, lora) for name in (*TARGETS, "lora_attention"))


def test_a_run_embeds_and_trains_as_much_as_planned(passes):
    planned = work(params_of("tiny"), f"adapt@{RUN}")
    finetune.main(RUN)
    folder = Path("results/tiny/finetuned/adaptation", RUN)
    method = json.loads((folder / "method.json").read_text())
    assert (
        planned.image_passes == passes["images"] > method["images"]["without_gradient"]
    )  # with the check of its adapters
    assert planned.disk == 4 * method["trainable_parameters"]
    assert planned.steps == len(pd.read_csv(folder / "log/plots/metrics/loss.tsv", sep="\t"))


def tower_flops(tokens: int, layers: int, width: int, embed_dim: int, *, patch: int = 0) -> int:
    """Two operations for each multiplication of a transformer: patch embedding, attention, MLP of four widths, projection."""
    layer = 2 * tokens * (4 + 8) * width**2 + 2 * 2 * tokens**2 * width
    return 2 * (tokens - 1) * 3 * patch**2 * width + layers * layer + 2 * width * embed_dim


@pytest.mark.parametrize(("name", "wide"), [("ViT-B-32", False), ("ViT-B-32", True), ("ViT-L-14", False)])
def test_operations_of_a_pass_are_those_of_the_closed_form(name, wide):
    config = open_clip.get_model_config(name)
    vision, text = config["vision_cfg"], config["text_cfg"]
    columns = vision["image_size"] // vision["patch_size"]
    n_tokens = 1 + columns**2 * (1 + wide)
    network = Network(name, config, wide=wide)
    assert network.image_flops == tower_flops(
        n_tokens, vision["layers"], vision["width"], config["embed_dim"], patch=vision["patch_size"]
    )
    assert network.text_flops == tower_flops(text["context_length"], text["layers"], text["width"], config["embed_dim"])


@pytest.mark.parametrize(
    "name", ["lora_as_released", "lora_attention", "image_tower", "last_block", "omniview", "linear_head"]
)
def test_a_step_costs_what_a_real_one_costs(tmp_path, name):
    params = params_of("tiny")
    architecture, lora = params.pretraining.architecture.model_dump(), params.finetune.lora
    write_configuration(tmp_path, architecture)
    method, planned = find_method(name), Network("tiny", architecture).step(name, 3, lora)
    clip = method.attach(new_clip(tmp_path, seed=0, device="cpu"), **lora.model_dump())
    texts = torch.zeros(3, clip.network.context_length, dtype=torch.long) if method.trains_text else None
    clip.network.train()
    with FlopCounterMode(display=False) as counter:
        image_embeds, text_embeds, *_ = clip.network(torch.rand(6, 3, 32, 32), texts)
        (image_embeds.sum() + (0 if text_embeds is None else text_embeds.sum())).backward()
    assert planned.flops == pytest.approx(counter.get_total_flops(), rel=0.01)
    assert planned.trained == sum(weight.numel() for weight in trained_weights(clip).values())


def test_the_stages_are_those_of_dvc():
    listed = subprocess.run(["dvc", "stage", "list", "--name-only"], capture_output=True, text=True, check=True)
    assert not list(expand({"replicate": {"cmd": "a command", "frozen": True}}, {}))
    frozen = ("replicate@", "other_machine@")
    params = validate(parse(Path("params.yaml").read_text(), "params.yaml"), "params.yaml")
    assert [stage.name for stage in stages_of(params)] == [
        name for name in listed.stdout.split() if not name.startswith(frozen)
    ]


def test_a_gpu_waits_for_its_inputs_or_they_for_it():
    stage = Stage("score", "score", (), "python -m pipeline.score_probes")
    gpu = given(REFERENCE, flops=1e12, decode=10.0, cores=4)
    passes = Work(image_passes=1, flops=2e12, pass_flops=2e12)
    images = Work(image_passes=1, decoded=400e6)
    start, alone, waiting, both = (
        seconds(stage, x, gpu, workers=1) - gpu.startup for x in (Work(panoramas=1), passes, images, passes + images)
    )
    assert (start, alone, waiting, both) == pytest.approx((0, 2, 10, 10))
    training = seconds(stage, passes + images + Work(steps=1), gpu, workers=1) - gpu.startup
    assert training == pytest.approx(2 + 40)  # fine-tuning prepares images by one core, and computes afterwards
    assert seconds(stage, passes + images, REFERENCE, workers=2) == pytest.approx(6.5 + 2e12 / 100e9 + 400e6 / 130e6)


def test_cached_stages_cost_nothing():
    params = params_of("tiny")
    planned = make_plan(params, REFERENCE, Assumed(10, 64), cached={f"score_probes@{MODEL}-probe", "pages"})
    table = by_kind(planned.stages)
    assert table.cached["total"] == 2 and table.stages["total"] == len(planned.stages) - 2
    half = table.loc["score_probes"]
    assert half.stages == half.cached == table.loc[TABLES].cached == 1 and half.image_passes == 240
    assert table.seconds["total"] == pytest.approx(planned.stages.seconds[~planned.stages.cached].sum())
    assert "| score_probes" in describe(planned)


def test_what_models_do_otherwise_than_trained_is_listed():
    sections = parse(compose("modern"), "modern")
    sections["weights"]["vit_b_16_datacomp"]["pretrained"] = "openai"
    found = other_activations(validate(sections, "modern"))
    assert any("vit_b_16_datacomp: openai was trained with QuickGELU" in line for line in found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("papr",), "there is no profile 'papr' in profiles: .* did you mean paper"),
        (("tiny", "--flops", "-1"), "--flops is -1: expected a positive number"),
        (("tiny", "--flops", "nan"), "--flops is nan: expected a positive number"),
        (("tiny", "--decode", "0"), "--decode is 0: expected a positive number"),
        (("tiny", "--images", "0"), "--images is 0 and --height 512: expected positive numbers"),
        (
            ("paper", "--images", "100"),
            "--images is 100: expected more than the 128 panoramas of `finetune.n_validation`",
        ),
    ],
)
def test_a_wrong_argument_is_reported_in_one_sentence(arguments, message):
    with pytest.raises(SystemExit, match=message) as ended:
        report(plan.main, *arguments)
    assert "\n" not in ended.value.code

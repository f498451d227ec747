"""params.yaml is validated as a whole: valid profiles pass, every fault is one line with its path, no value crashes the check."""

import copy
import csv
import json
import math
import subprocess
import sys
from dataclasses import fields
from functools import reduce
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from clip360.finetune.methods import METHODS
from clip360.models import attention_pooling, tokenisation
from clip360.models.positional_embeddings import KINDS
from clip360.models.protocol import CHOICES, Protocol, read_protocol
from clip360.stats.adaptation_methods import FAMILIES, method_family
from clip360.stats.signed_rank import minimum_n
from clip360.world.scene import SPLITS
from pipeline import checks, parameters
from pipeline.error_messages import report
from pipeline.parameters import Parameters, parse, read_params, validate
from pipeline.profiles import compose, profile_names, use_profile

WORLD = parse(Path("profiles/world.yaml").read_text(encoding="utf-8"), "world")
RENDERED = parse(compose("replicate1"), "replicate1")  # probes image sets that it renders
SOURCE = "params.yaml"


def messages(sections: dict) -> list[str]:
    """The lines that report what is wrong with parameters."""
    try:
        validate(sections, SOURCE)
    except ValueError as error:
        return str(error).split("\n")
    return []


def input_messages(sections: dict) -> list[str]:
    """The lines that report what is wrong with the files that valid parameters name."""
    try:
        checks.check_inputs(validate(sections, SOURCE))
    except ValueError as error:
        return str(error).split("\n")
    return []


def changed(path: str, value: object, sections: dict = WORLD) -> dict:
    """The default parameters with another value, also at a new key."""
    sections = copy.deepcopy(sections)
    *steps, key = path.split(".")
    reduce(dict.__getitem__, steps, sections)[key] = value
    return sections


def path_in(message: str) -> str:
    return message.split("`")[1]


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_is_valid(name):
    assert not messages(parse(compose(name), name))


def test_parameters_are_typed_and_frozen():
    params = read_params()
    assert params.runs["p03_distilled"].lam == 0.9 and params.runs["p03_omniview"].view is None
    assert params.runs["p03_quarter_l050"].view is None
    assert params.results == Path("results", params.profile)
    assert params.model_dump(exclude_unset=True) == WORLD
    assert params.protocol_ablations.variants["no_floor"].model_dump(exclude_unset=True) == {"clamp_at_zero": False}
    with pytest.raises(ValidationError):
        params.compute.batch_size = 3


def test_a_profile_without_a_rendered_world_has_no_training_pictures():
    for empty in ({}, None):
        sections = changed("pretraining.models", {}) | {"training_pictures": empty}
        unreferenced = {
            "weights": {name: {"architecture": "ViT-B-32", "pretrained": "openai"} for name in WORLD["models"]}
        }
        params = validate(sections | unreferenced, SOURCE)
        assert params.training_pictures is None


def test_the_types_repeat_the_choices_of_the_code():
    assert get_args(parameters.Method) == tuple(METHODS)
    for section in (parameters.Protocol, parameters.ProtocolChanges):
        assert section.model_fields.keys() == {field.name for field in fields(Protocol)}
        annotations = {name: get_args(field.annotation) for name, field in section.model_fields.items()}
        assert {name: annotations[name] for name in CHOICES} == CHOICES
    defaults = {name: field.default for name, field in parameters.ProtocolChanges.model_fields.items()}
    assert defaults == {field.name: field.default for field in fields(Protocol)}
    assert get_args(parameters.Split) == tuple(SPLITS)
    assert get_args(parameters.PositionalEmbedding) == tuple(KINDS)
    assert get_args(parameters.Tokenisation) == tokenisation.KINDS
    assert get_args(parameters.Pooling) == attention_pooling.KINDS
    assert (*tokenisation.WHOLE_TURN, "own") == checks.WHOLE_TURN
    assert set(get_args(parameters.SingleImageView)) == set(CHOICES["view"]) - {"multi_view"}
    for method in ("average_8", "single_pass", "multi_view", "circular_positional_embedding"):
        assert method_family(method) in list(FAMILIES)[:2]  # those without training


@pytest.mark.parametrize("view", ["center_crop", "squash", "letterbox"])
def test_a_method_that_joins_the_edges_needs_a_view_of_the_whole_turn(view):
    free = {"model": "clip_p03", "method": "single_pass_adaptive", "tokenisation": "adaptive", "view": view}
    run = {"model": "clip_p03", "method": "distilled_adaptive", "lam": 0.9, "shift_range": [0.0, 1.0], "view": view}
    for path, entry in (
        ("adaptation.training_free.clip_p03.mine", free),
        ("adaptation.runs.mine", run),
    ):
        sections = changed(path, entry)
        if view == "center_crop":
            (reported,) = messages(sections)
            assert (
                path_in(reported) == path and "a `view` that shows the whole turn (squash, letterbox, wide)" in reported
            )
        else:
            assert validate(sections, SOURCE)


def test_minimum_n_is_that_of_the_statistics():
    for alpha in (0.01, 0.05, 0.25):
        for tests in (1, 2, 7, 24, 1000):
            n = checks.minimum_n(alpha, tests)
            assert n == minimum_n(alpha, tests) and tests * 2.0**-n < alpha <= tests * 2.0 ** -(n - 1)


FAULTS = {
    "protocol_ablations.n_imges": (8, "is unknown: expected one of models, n_images, variants; did you mean n_images?"),
    "colour": (8, "is unknown: expected one of profile, "),
    "finetune.runs.p00_attention_l050.weight": (1.0, "is unknown: expected one of model, lam, shift_range, "),
    "compute.batch_size": ("64", "is '64': expected a whole number"),
    "inference.n_bootstrap": (0, "is 0: expected at least 1"),
    "protocol.clamp_at_zero": (1, "is 1: expected true or false"),
    "inference.alpha": (1.5, "is 1.5: expected less than 1"),
    "training_pictures.n_views": (True, "is true: expected a whole number"),
    "protocol.view": ("squish", "is 'squish': expected one of own, center_crop, squash, letterbox, wide, multi_view; did you mean squash?"),
    "finetune.optimisation.lr": (math.nan, "is nan: expected a finite number"),
    "finetune.lora": ([8, 16], "is [8, 16]: expected a section"),
    "image_sets": ([], "is []: expected a list of at least 1 entry"),
    "models": (["clip_p00", "clip_p03", "clip_p30", "clip_p30"], "expected different entries, but 'clip_p30' appears twice"),
    "finetune.runs.p00_attention_l050.model": ("clip_p0", "is 'clip_p0': expected one of clip_p00, clip_p03, clip_p30, of `models`; did you mean clip_p00?"),
    "finetune.runs.p00_attention_l050.method": ("lora_attenton", "is 'lora_attenton': expected one of lora_as_released, "),
    "finetune.runs.p00_attention_l050.shift_range": ([1.0, 0.5], "is [1.0, 0.5]: expected [low, high], two fractions"),
    "finetune.runs.p00_attention_l050.view": ("squash", "is unknown: expected one of model, lam, "),
    "adaptation.runs.p03_distilled.view": ("multi_view", "is 'multi_view': expected one of own, "),
    "finetune.runs.p03_attention_l025.method": ("omniview", "is 'omniview': expected one of lora_as_released, "),
    "finetune.runs.clip_p03": (WORLD["finetune"]["runs"]["p03_quarter_l050"], "has a name that `models` uses"),
    "adaptation.runs.p03_quarter_l050": (WORLD["adaptation"]["runs"]["p03_omniview"], "has a name that `finetune.runs` uses"),
    "adaptation.training_free.clip_p03.p03_omniview": ({"model": "clip_p03", "method": "single_pass"}, "has a name that `adaptation.runs` uses"),
    "finetune.image_set": ("results/world/image_sets/finetun", "is 'finetun': expected one of finetune, finetune_moved, of `rendered_sets`"),
    "own_panoramas.model": ("results/world/models/clip_p99", "is 'clip_p99': expected one of clip_p00, "),
    "own_panoramas.adapter": ("results/world/finetuned/adaptation/p03_omnivew", "; did you mean p03_omniview?"),
    "crop_or_model.scenes.world_outdor": (WORLD["crop_or_model"]["scenes"]["world_outdoor"], "did you mean world_outdoor?"),
    "adaptation.base_model": ("clip_p33", "is 'clip_p33': expected one of clip_p00, "),
    "replicates.other_machines": ({"replicate1_native": "replicate9"}, "is 'replicate9': expected one of replicate1, replicate2"),
    "weights.clip_new": ({"architecture": "hf-hub:us/small"}, "also `revision` for a model of a hub"),
    "weights.clip_p03": ({"architecture": "ViT-B-32", "pretrained": "openai"}, "expected no model that `pretraining` trains"),
    "pretraining.n_images": (17_000, "no more of either kind than `training_pictures` has"),
    "pretraining.models.clip_p30.n_images": (100, "expected at least a batch of images"),
    "textual_probe.held_out_cues.paraphrase": (["{cue} only"], "expected a text with {cue} and {caption}"),
    "visual_probe.n_curve_shifts": (30, "is 30: expected a multiple of `visual_probe.n_shifts`"),
    "crop_or_model.n_shifts": (12, "is 12: expected a multiple of `crop_or_model.n_windows`"),
    "crop_or_model.n_windows": (2, "is 2: expected at least 3"),
    "pretraining.architecture.vision_cfg.patch_size": (7, "is 48: expected a multiple of `pretraining.architecture.vision_cfg.patch_size`"),
    "pretraining.architecture.vision_cfg.head_width": (40, "is 96: expected a multiple of `pretraining.architecture.vision_cfg.head_width`"),
    "pretraining.architecture.text_cfg.heads": (5, "is 96: expected a multiple of `pretraining.architecture.text_cfg.heads`"),
    "pretraining.architecture.vision_cfg.image_size": (56, "is 56: expected `training_pictures.size`"),
    "pretraining.optimisation.batch_size": (16_001, "is 16001: expected at most `pretraining.n_images`"),
    "pretraining.optimisation.warmup_steps": (361, "is 361: expected at most `pretraining.optimisation.steps`"),
    "training_pictures": ({}, "is {}: expected images for training the models of `pretraining`"),
    "adaptation.training_free.clip_p03.p03_squash.view": ("squah", "; did you mean squash?"),
    "adaptation.training_free.clip_p03.p03_average_2.n_shifts": (3, "is 3: expected a divisor of twice `visual_probe.n_shifts`"),
    "adaptation.training_free.clip_p03.p03_average_2.model": ("clip_p00", "expected each method in the section of the model"),
    "capabilities.matching.models": (["clip_p33"], "is 'clip_p33': expected one of clip_p00, "),
    "capabilities.matching.lrs": ([0.1], "is [0.1]: expected a list of at least 2 entries"),
    "capabilities.viewpoints.n_images": (97, "is 97: expected at most `capabilities.n_images`"),
    "live_figure.generic_cue": ("foto", "is 'foto': expected one of photo, image, picture, view, of `textual_probe.generic_cues`; did you mean photo?"),
    "live_figure.n_panoramas": (49, "is 49: expected at most `crop_or_model.n_images`"),
    "finetune.n_worst": (9, "is 9: expected at most `finetune.n_shifts`"),
    "finetune.n_validation": (0, "is 0: expected more than 0, because `adaptation` chooses runs"),
    "crop_or_model.n_images": (8, "is 8: expected at least 10, because with fewer images no signed-rank test"),
    "protocol_ablations.n_images": (9, "is 9: expected at least 10"),
}  # fmt: skip


@pytest.mark.parametrize("path", FAULTS)
def test_a_fault_is_reported_with_its_path_and_what_was_expected(path):
    value, problem = FAULTS[path]
    reported = messages(changed(path, value))
    assert any(problem in message for message in reported), reported
    assert len({path_in(message) for message in reported} - {path}) <= 3, "and little else"


OTHER_NAMES = ["a b", "a;b", "$(a)", "`a`", "../a", "/a", "-a", "a\nb", "a|b", "", "a" * 81]


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_names_that_could_act_in_a_command_or_lead_elsewhere_are_refused(name):
    """They become words of commands and names of files."""
    for sections in (
        WORLD | {"profile": name},
        WORLD | {"models": [name]},
        WORLD | {"image_sets": [name]},
        WORLD | {"figures": name if len(name) < 81 else ""},
        WORLD | {"rendered_sets": {name: WORLD["rendered_sets"]["finetune"]}},
        WORLD | {"replicates": WORLD["replicates"] | {"names": [name]}},
        WORLD | {"replicates": WORLD["replicates"] | {"stages": [name]}},
        changed("adaptation.runs", {name: WORLD["adaptation"]["runs"]["p03_omniview"]}),
    ):
        assert any("letters, digits" in message for message in messages(sections))


def test_training_needs_a_view_of_a_single_image():
    reported = messages(changed("protocol.view", "multi_view"))
    assert sum("a view of a single image, which `finetune.runs` train on" in message for message in reported) == 1
    without_view = sum("view" not in run for run in WORLD["adaptation"]["runs"].values())
    assert sum("also a `view` of a single image" in message for message in reported) == without_view > 0


def test_all_faults_are_reported_at_once():
    sections = changed("compute.batch_size", 0) | {"models": ["clip_p00", "clip_p30"]}
    del sections["protocol"]["view"], sections["finetune"]["lora"]
    reported = messages(sections)
    runs = (WORLD["finetune"]["runs"] | WORLD["adaptation"]["runs"]).values()
    in_runs = sum(run["model"] == "clip_p03" for run in runs)
    elsewhere = 5  # training_free, base_model, protocol_ablations, token_analysis, matching
    assert sum("'clip_p03'" in message for message in reported) == in_runs + elsewhere + 1  # own_panoramas.model
    others = [path_in(message) for message in reported if "'clip_p03'" not in message]
    assert others == ["protocol.view", "compute.batch_size", "finetune.lora"]


@pytest.mark.parametrize(
    "figures",
    ["lib", "data/plots", "pipeline", "notebooks", "tests/a", "profiles", "docs", "tools", "results", "results/world"]
    + [
        "results/tiny/figures",
        "results/world/models",
        "results/world/measurements/a",
        ".git",
        ".dvc/a",
        ".venv",
        "LIB",
    ],
)
def test_outputs_cannot_lie_in_the_source_or_in_other_results(figures):
    reported = messages(WORLD | {"figures": figures})
    assert reported and {path_in(message) for message in reported} == {"figures"}


@pytest.mark.parametrize("figures", ["figures", "report/figures", "results/world/figures", "library"])
def test_outputs_can_lie_elsewhere(figures):
    assert not messages(WORLD | {"figures": figures})


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("rendered_sets.finetune.split", "probe"),  # trained on the scenes of the probe
        ("rendered_sets.finetune_moved.split", "probe"),
        ("rendered_sets.world_indoor.split", "finetune"),  # probed on the scenes of training
        ("finetune.image_set", "results/replicate1/image_sets/world_indoor"),
    ],
)
def test_models_are_not_probed_on_what_they_are_fine_tuned_on(path, value):
    reported = messages(changed(path, value, RENDERED))
    assert any("fine-tune" in message or "probe" in message for message in reported if path == path_in(message))


def test_an_image_set_in_data_is_not_for_fine_tuning_and_for_probing():
    (reported,) = [m for m in messages(changed("finetune.image_set", "data/world_indoor")) if "image_sets` has" in m]
    assert path_in(reported) == "finetune.image_set"


@pytest.mark.parametrize(("key", "value"), [("seed", 8), ("split", "train"), ("environment", "indoor")])
def test_the_second_viewpoint_shows_the_scenes_of_the_training_panoramas(key, value):
    (reported,) = messages(changed(f"rendered_sets.finetune_moved.{key}", value))
    assert f"`rendered_sets.finetune_moved.{key}` is {value!r}: expected " in reported and "as in finetune" in reported


def test_the_second_viewpoint_has_a_panorama_for_each_training_panorama():
    sections = changed("rendered_sets.finetune_moved.n_images", 300)
    assert not messages(sections), "no run reads the second viewpoint"
    sections["adaptation"]["runs"]["p03_omniview"]["method"] = "omniview_offset"
    (reported,) = messages(sections)
    assert "`rendered_sets.finetune_moved.n_images` is 300: expected at least 320" in reported


def test_validation_leaves_panoramas_for_training():
    assert "less than the 448 panoramas" in "".join(messages(changed("finetune.n_validation", 448)))


@pytest.mark.parametrize("key", ["seed", "split", "environment", "height"])
@pytest.mark.parametrize("sections", [WORLD, RENDERED], ids=["embedded", "rendered"])
def test_scenes_are_those_of_the_images(sections, key):
    values = {"seed": 359, "split": "train", "environment": "outdoor", "height": 192}
    (reported,) = messages(changed(f"crop_or_model.scenes.world_indoor.{key}", values[key], sections))
    assert f"`crop_or_model.scenes.world_indoor.{key}` is {values[key]!r}: expected " in reported


@pytest.mark.parametrize(
    "entry",
    [
        {"method": "average_8", "n_shifts": 4},
        {"method": "average_8"},
        {"method": "average_8_squash", "n_shifts": 8},
        {"method": "average_8", "n_shifts": 8, "positional_embedding": "circular"},
        {"method": "single_pass", "n_shifts": 2},
        {"method": "single_pass_canonical_yaw"},
        {"method": "single_pass", "canonical_yaw": True},
        {"method": "single_pass_adaptive", "view": "squash"},
        {"method": "single_pass_adaptive_rows", "view": "squash", "tokenisation": "adaptive"},
        {"method": "single_pass_anti_aliased", "view": "squash", "tokenisation": "adaptive"},
        {"method": "single_pass_row_means"},
        {"method": "single_pass", "pooling": "even_columns"},
        {"method": "multi_view"},
        {"method": "multi_view", "view": "squash"},
        {"method": "circular_positional_embedding"},
        {"method": "circular_positional_embedding", "positional_embedding": "rows"},
        {"method": "circular_positional_embedding", "positional_embedding": "circular", "n_shifts": 4},
    ],
)
def test_a_training_free_method_does_what_its_name_says(entry):
    sections = changed("adaptation.training_free", {"clip_p03": {"mine": {"model": "clip_p03"} | entry}})
    (reported,) = messages(sections)
    assert path_in(reported) == "adaptation.training_free.clip_p03.mine" and "as `method` names them" in reported


def test_a_generic_cue_is_not_a_format_cue():
    (reported,) = messages(changed("textual_probe.generic_cues", ["photo", "360 Photo"]))
    assert "`textual_probe.generic_cues[1]` is '360 Photo': expected other words" in reported
    (reported,) = messages(changed("training_pictures.generic_cues", ["photo", "360 photo"]))
    assert path_in(reported) == "training_pictures.generic_cues[1]"


def test_what_a_model_cannot_do_is_reported():
    """For each parameter that asks for it, before any weights are fetched."""
    sections = parse(compose("modern"), "modern")
    assert not messages(sections)
    model = "siglip2_b_16"
    run = {"model": model, "method": "lora_attention", "lam": 0.5, "shift_range": [0.0, 1.0]}
    circular = {"model": model, "method": "circular_positional_embedding", "positional_embedding": "circular"}
    sections["crop_or_model"] |= {
        "views": ["squash", "wide"],
        "token_analysis": {"models": [model], "views": ["squash"], "n_images": 16},
    }
    sections["adaptation"]["runs"]["mine"] = run
    sections["adaptation"]["training_free"][model] = {"mine_too": circular}
    reported = messages(sections)
    assert any("`crop_or_model.views[1]` has the view wide" in m and model in m for m in reported)
    assert any(
        "`crop_or_model.token_analysis.models[0]` is siglip2_b_16, whose image tower has no" in m for m in reported
    )
    assert any("`adaptation.runs.mine.method` is lora_attention, which trains parts that" in m for m in reported)
    assert any(f"`adaptation.training_free.{model}.mine_too.positional_embedding` is circular" in m for m in reported)
    run["method"] = "distilled_tower"
    assert not any("adaptation.runs" in m for m in messages(sections))


def test_architectures_are_those_of_the_installed_open_clip():
    import open_clip

    assert checks.open_clip_architectures().keys() == set(open_clip.list_models())
    for architecture, pretrained in (("ViT-B-32", "openai"), ("mine.json", "mine.pt")):
        assert not messages(changed("weights.mine", {"architecture": architecture, "pretrained": pretrained}))
    assert not messages(changed("weights.mine", {"architecture": "hf-hub:us/small", "revision": "0" * 40}))
    (reported,) = messages(changed("weights.mine", {"architecture": "ViT-B-23", "pretrained": "openai"}))
    assert "`weights.mine.architecture` is 'ViT-B-23': expected an architecture of open_clip" in reported
    assert "did you mean ViT-B-32?" in reported


def test_a_rendered_set_needs_enough_images_for_its_tests():
    (reported,) = messages(changed("rendered_sets.world_indoor.n_images", 9, RENDERED))
    assert "`rendered_sets.world_indoor.n_images` is 9: expected at least 10" in reported


def leaves(value: object, path: tuple = ()) -> list[tuple]:
    """The paths of all entries, sections and lists too."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, entry in entries for found in ((*path, key), *leaves(entry, (*path, key)))]


def with_value(path: tuple, value: object) -> dict:
    sections = copy.deepcopy(WORLD)
    *steps, key = path
    reduce(lambda entry, step: entry[step], steps, sections)[key] = value
    return sections


WRONG = st.sampled_from([math.nan, b"\0", {"": {}}, "x" * 100_000, "a\nb", "\ud800", -(10**30), 10**5000, [[]], {1.5}])
JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates()
JUNK |= st.lists(JUNK, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers() | st.none(), JUNK, max_size=3)
KEYS = st.text(max_size=10) | st.integers() | st.none() | st.dates()


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(leaves(WORLD)), WRONG | JUNK, st.data())
def test_junk_anywhere_passes_or_is_reported_in_lines(path, junk, data):
    sections, steps = copy.deepcopy(WORLD), path[:-1]
    parent = reduce(lambda entry, step: entry[step], steps, sections)
    key = data.draw(KEYS) if isinstance(parent, dict) and data.draw(st.booleans()) else path[-1]
    parent[key] = junk
    for message in messages(sections) or input_messages(sections):
        assert message.startswith(f"{SOURCE}: `") and message.isprintable() and len(message) < 3000


@settings(deadline=None)
@given(st.sampled_from(leaves(WORLD)), WRONG)
def test_a_value_of_a_wrong_kind_is_reported_by_its_path(path, wrong):
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:]
    named = [path_in(message) for message in messages(with_value(path, wrong))]
    assert any(name.startswith(other) or other.startswith(name) for other in named)


@settings(deadline=None)
@given(st.sampled_from(list(parameters.Protocol.model_fields)), JUNK)
def test_a_valid_protocol_is_one_for_the_code(name, junk):
    if not messages(changed(f"protocol.{name}", junk)):
        protocol = validate(changed(f"protocol.{name}", junk), SOURCE).protocol
        assert getattr(read_protocol(protocol.model_dump()), name) == junk


YAML_PARTS = st.sampled_from(
    [*"[]{}:,-?&*!|>%@`'\"#\n ", "a: 1\n", "<<: ", "!!int x", "!!bool x", "*a", "&a ", "9" * 5000, "[" * 2000]
)


@settings(deadline=None)
@given(st.text(max_size=30) | st.lists(YAML_PARTS, max_size=8).map("".join))
def test_any_text_is_sections_or_reported_in_one_line(text):
    try:
        assert isinstance(parse(text, SOURCE), dict)
    except ValueError as error:
        assert str(error).startswith(f"{SOURCE} ") and "\n" not in str(error) and len(str(error)) < 400


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with only the default profile, in use."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/world.yaml").write_text(compose("world"), encoding="utf-8")
    (tmp_path / "params.yaml").write_text(compose("world"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


PROFILES = {
    "extends: word\nprofile: mine": "there is no profile 'word' in profiles: choose one of mine, world; did you mean world?",
    "extends: mine\nprofile: mine": "the profiles mine extend each other in a circle",
    "extends: [world]\nprofile: mine": "there is no profile ['world'] in profiles",
    "models: [clip_p00": "profiles/mine.yaml is not valid YAML in line 1",
    "- models": "profiles/mine.yaml holds ['models']: expected the sections",
    "": "profiles/mine.yaml holds null: expected the sections",
    "compute: {batch_size: 32}": "profiles/mine.yaml: `profile` is 'world': expected mine, the name of the file",
    "profile: mine\ncompute: 3": "profiles/mine.yaml: `compute` is 3: expected a section",
    "profile: mine\ncompute: {batches: 3}": "profiles/mine.yaml: `compute.batches` is unknown: expected one of device, threads, one_code_path, batch_size; did",
    "profile: mine\nweights: {new: {architecture: ViT-B-32, pretrained: openai}}\nmodels: [new, nwe]": "`models[1]` is 'nwe'",
}


@pytest.mark.parametrize("text", PROFILES)
def test_a_faulty_profile_is_reported_and_not_used(place, text):
    before = Path("params.yaml").read_bytes()
    Path("profiles/mine.yaml").write_text(text)
    with pytest.raises(ValueError) as raised:
        use_profile("mine")
    assert PROFILES[text] in str(raised.value)
    Path("profiles/mine.yaml").write_bytes(b"models: [\xff]")
    with pytest.raises(ValueError, match=r"profiles/mine.yaml is not UTF-8 at byte 9: save it as UTF-8"):
        use_profile("mine")
    assert Path("params.yaml").read_bytes() == before


def write_captions(folder: str, rows: int, cue: str = "360 photo") -> None:
    Path(folder, "images").mkdir(parents=True, exist_ok=True)
    with Path(folder, "captions.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([["image", "caption", "cue"], *([f"{k}.jpg", "a\nroom", cue] for k in range(rows))])


def test_missing_inputs_are_reported_all_at_once(place):
    with pytest.raises(ValueError) as raised:
        read_params(inputs=True)
    reported = str(raised.value).splitlines()
    fault = "params.yaml: `image_sets[0]` names data/world_outdoor, which is not a folder"
    assert reported[0] == f"{fault}: put it there, or take its name out of the list"
    paths = [path_in(message).split("[")[0] for message in reported]
    counts = {"image_sets": 2, "own_panoramas.images": 1}
    counts |= {"replicates.names": len(WORLD["replicates"]["names"])} if WORLD["replicates"]["names"] else {}
    counts |= {f"replicates.other_machines.{name}": 1 for name in WORLD["replicates"]["other_machines"]}
    assert {path: paths.count(path) for path in paths} == counts
    (place / "data/world_outdor").mkdir(parents=True)
    with pytest.raises(
        ValueError, match=r"data/world_outdoor, .*; data holds world_outdor; did you mean world_outdor\?"
    ):
        read_params(inputs=True)
    (place / "data/world_outdor").rename(place / "data/train")
    with pytest.raises(ValueError, match=r"(?m)data/world_outdoor, .* out of the list; data holds train$"):
        read_params(inputs=True)
    (place / "params.yaml").unlink()
    with pytest.raises(FileNotFoundError, match="params.yaml does not exist here: run this from the repository root"):
        read_params(inputs=True)


def test_a_replicate_needs_a_profile_and_the_tables_of_all_stages(place):
    sections = changed("replicates", WORLD["replicates"] | {"names": ["mine"], "other_machines": {}})
    assert any("`replicates.names[0]` is 'mine', which is not a profile" in text for text in input_messages(sections))
    (place / "profiles").mkdir(exist_ok=True)
    (place / "profiles/mine.yaml").touch()
    assert any("run `make replicates NAME=mine` first" in text for text in input_messages(sections))
    kept = place / "figures/replicates/mine/provenance.json"
    kept.parent.mkdir(parents=True)
    stages = WORLD["replicates"]["stages"]
    kept.write_text(json.dumps({"stages": stages[1:]}))
    assert any(f"needs the stage {stages[0]}, which the run kept in" in text for text in input_messages(sections))
    kept.write_text(json.dumps({"stages": stages}))
    assert not any("replicates" in text for text in input_messages(sections))


def test_an_image_set_needs_enough_images_and_cues_that_are_not_generic(place):
    write_captions("data/world_outdoor", 10)
    write_captions("data/world_indoor", 10)
    assert not any("image_sets" in message for message in input_messages(WORLD))
    write_captions("data/world_indoor", 9, cue="Photo")
    few, cue = [message for message in input_messages(WORLD) if "image_sets" in message]
    assert "`image_sets[1]` names data/world_indoor with 9 images: expected at least 10" in few
    assert "where 'photo' is a format cue" in cue
    Path("data/world_indoor/captions.csv").write_bytes(b"image,caption\n\xff,a")
    assert not any("image_sets" in message for message in input_messages(WORLD)), "the loading stage reports it"


def test_panoramas_are_left_to_train_on(place):
    """Of a set that is not rendered, whose size only its table says."""
    sections = changed("finetune.image_set", "panoramas/train")
    for rows, expected in {137: 2, 138: 1, 257: 0}.items():
        write_captions("panoramas/train", rows)
        reported = [message for message in input_messages(sections) if "n_validation" in message]
        assert len(reported) == expected
        assert expected < 2 or "is 128: expected at most 127 of the 137 panoramas of panoramas/train" in reported[0]
        assert expected < 1 or "is 256: expected less than the" in reported[-1]


def test_fine_tuning_by_order_needs_a_jpg_file_for_each_caption(place):
    """As the released training, which lists no others; reported before any stage runs."""
    sections = changed("finetune.image_set", "panoramas/train")
    write_captions("panoramas/train", 3)
    images = Path("panoramas/train/images")
    for name in ("0.jpg", "1.jpg", "2.png"):
        (images / name).touch()
    assert not any("jpg" in message for message in input_messages(sections))
    sections["protocol"]["pairing"] = "order"
    (few,) = [message for message in input_messages(sections) if "jpg" in message]
    assert "`finetune.image_set` names panoramas/train with 2 files that end in .jpg and 3 captions" in few
    (images / "3.jpg").touch()
    assert not any("jpg" in message for message in input_messages(sections))


def test_files_of_weights_have_to_exist(place):
    sections = changed("weights.mine", {"architecture": "mine.json", "pretrained": "weights/mine.pt"})
    paths = [path_in(message) for message in input_messages(sections)]
    assert {"weights.mine.architecture", "weights.mine.pretrained"} <= set(paths)
    for file in ("mine.json", "weights/mine.pt"):
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).touch()
    assert not any("weights" in message for message in input_messages(sections))


@pytest.mark.parametrize("text", ["models: [", "compute: 3\nmodels: 4\n", "compute: {threads: many}"])
def test_a_command_ends_with_messages_whatever_params_yaml_holds(place, text):
    (place / "params.yaml").write_text(text)
    code = (
        "from pipeline.parameters import read_params; from pipeline.error_messages import report; report(read_params)"
    )
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert all(line.startswith("params.yaml") for line in done.stderr.splitlines()) and "params.yaml" in done.stderr


def test_the_profile_command_reports_hand_edits_and_has_a_help(place):
    (place / "params.yaml").write_text("mine: 1\n")
    environment = {"PYTHONPATH": str(Path(__file__).parents[2])}

    def run(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "pipeline.profiles", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    assert run("--help").returncode == 0 and "NAME" in run("--help").stdout
    done = run("world")
    assert done.returncode == 1 and done.stderr.startswith("params.yaml was edited by hand") and done.stderr[-1] == "\n"
    assert (place / "params.yaml").read_text() == "mine: 1\n"


def test_report_ends_with_one_message_also_for_errors_of_pydantic():
    with pytest.raises(SystemExit, match="Field required"):
        report(lambda: Parameters.model_validate({}))
    with pytest.raises(TypeError):
        report(lambda: None + 1)


def test_reading_parameters_loads_no_heavy_package():
    heavy = ("torch", "numpy", "pandas", "open_clip", "dvc")
    code = f"import sys; from pipeline.parameters import read_params; read_params(); sys.exit(any(m in sys.modules for m in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

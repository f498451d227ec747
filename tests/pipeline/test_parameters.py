"""params.yaml is checked whole before anything runs: right profiles pass, every fault is told in a sentence, none crashes."""

import copy
import math
import subprocess
import sys
from dataclasses import fields
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clip360.finetune.methods import STRATEGIES
from clip360.models.positional_embeddings import KINDS
from clip360.models.protocol import CHOICES, Protocol, read_protocol
from clip360.stats.adaptation_methods import FAMILIES
from clip360.world.scene import SPLITS
from pipeline import schema
from pipeline.profiles import compose, profile_names, use_profile
from pipeline.validation import parse, require_valid

WORLD = parse(Path("profiles/world.yaml").read_text(encoding="utf-8"), "world")
WHERE = "params.yaml"


def told(params: dict, **options) -> list[str]:
    """The sentences on what is wrong with parameters."""
    try:
        require_valid(params, WHERE, **options)
    except ValueError as error:
        return str(error).split("\n")
    return []


def changed(path: str, value: object) -> dict:
    """The default parameters with another value, also at a new key."""
    params = copy.deepcopy(WORLD)
    *sections, key = path.split(".")
    reduce(dict.__getitem__, sections, params)[key] = value
    return params


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_is_valid(name):
    assert not told(parse(compose(name), name))


def test_the_schema_repeats_the_names_of_the_code():
    assert tuple(STRATEGIES) == schema.STRATEGIES
    assert schema.PROTOCOL.keys() == {field.name for field in fields(Protocol)}
    assert {name: kind.names for name, kind in schema.PROTOCOL.items() if kind.names} == CHOICES
    assert schema.SPLIT.names == tuple(SPLITS)
    way = schema.SCHEMA["finetune"]["untrained"].each.each
    assert way["positions?"].names == KINDS
    for beginning in FAMILIES["no training"][1:]:  # the first is the frozen model itself
        assert way["strategy"].right(f"{beginning}8")
    assert set(schema.SCHEMA["finetune"]["runs"].each["view?"].names) == set(CHOICES["view"]) - {"multi_view"}


FAULTS = {
    "hazards.imges": (8, "is unknown: expected one of models, images, variants; did you mean images?"),
    "colour": (8, "is unknown: expected one of profile, "),
    "compute.batch": ("64", "is '64': expected a whole number from 1 to 1000000"),
    "protocol.floor": (1, "is 1: expected true or false"),
    "visual_probe.alpha": (1.5, "is 1.5: expected a number between 0 and 1"),
    "pools.pool.views": (True, "is true: expected a whole number from 1 to 1000000"),
    "protocol.view": ("squish", "is 'squish': expected one of own, "),
    "finetune.optimisation.rate": (math.nan, "is nan: expected a number between 0 and 1"),
    "finetune.adapter": ([8, 16], "is [8, 16]: expected a section"),
    "image_sets": ([], "is []: expected a list of 1 to 1000 entries"),
    "finetune.runs.p00_attention_l050.model": ("clip_p0", "is 'clip_p0': expected one of clip_p00, clip_p03, clip_p30, of `models`"),
    "finetune.runs.p00_attention_l050.strategy": ("attenton", "is 'attenton': expected one of released, "),
    "finetune.runs.p00_attention_l050.shifts": ([1.0, 0.5], "is [1.0, 0.5]: expected [low, high], two shares"),
    "finetune.runs.p00_attention_l050.view": ("multi_view", "is 'multi_view': expected one of own, "),
    "finetune.image_set": ("results/world/sets/finetun", "is 'finetun': expected one of finetune, finetune_moved, of `rendered_sets`"),
    "own_images.model": ("results/world/models/clip_p99", "is 'clip_p99': expected one of clip_p00, "),
    "crop_or_model.scenes.world_outdor": (WORLD["crop_or_model"]["scenes"]["world_outdoor"], "did you mean world_outdoor?"),
    "figures": ("results/tiny/figures", "expected a folder that is not in another profile's results"),
    "weights.clip_new": ({"architecture": "hf-hub:us/small"}, "also `revision` for a model of a hub"),
    "weights.clip_p03": ({"architecture": "ViT-B-32", "pretrained": "openai"}, "expected no model that `pretrain` trains"),
    "pretrain.pictures": (17_000, "expected a share for which `pools.pool` has the pictures"),
    "visual_probe.curve": (30, "is 30: expected a multiple of `visual_probe.tested`"),
    "finetune.untrained.clip_p03.p03_squash.view": ("squah", "; did you mean squash?"),
    "abilities.matched": (["clip_p33"], "is 'clip_p33': expected one of clip_p00, "),
    "abilities.matching.rates": ([0.1], "is [0.1]: expected two numbers between 0 and 1"),
    "abilities.viewpoints.images": (97, "is 97: expected at most `abilities.images`"),
    "finetune.worst": (9, "is 9: expected at most `finetune.views`"),
    "finetune.validation": (0, "is 0: expected more than 0, for `roads` to choose by"),
    "finetune.untrained.clip_p03.p03_average_2.turns": (3, "is 3: expected a divisor of twice `visual_probe.tested`"),
    "finetune.untrained.clip_p03.p03_average_2.model": ("clip_p00", "expected each way under the model that it names"),
}  # fmt: skip


@pytest.mark.parametrize("name", ["a b", "a;b", "$(a)", "`a`", "../a", "/a", "-a", "a\nb", "a|b", "", "a" * 81])
def test_names_that_could_act_in_a_command_or_lead_elsewhere_are_refused(name):
    """They are words of the commands of stages, and names of files."""
    for params in (
        WORLD | {"profile": name},
        WORLD | {"models": [name]},
        WORLD | {"image_sets": [name]},
        WORLD | {"figures": name if len(name) < 81 else ""},
        WORLD | {"rendered_sets": {name: WORLD["rendered_sets"]["finetune"]}},
        changed("finetune.runs", {name: WORLD["finetune"]["runs"]["p03_omniview"]}),
    ):
        assert any("letters, digits" in sentence for sentence in told(params))


def test_training_needs_a_view_of_one_picture():
    sentences = told(changed("protocol.view", "multi_view"))
    assert len(sentences) == sum("view" not in run for run in WORLD["finetune"]["runs"].values())


@pytest.mark.parametrize("path", FAULTS)
def test_a_fault_is_told_with_its_path_and_what_was_expected(path):
    value, problem = FAULTS[path]
    sentences = told(changed(path, value))
    assert any(problem in sentence for sentence in sentences)
    assert len({sentence.split("`")[1] for sentence in sentences} - {path}) <= 3, "and little else"


def test_all_faults_are_told_at_once():
    params = changed("compute.batch", 0) | {"models": ["clip_p00", "clip_p30", "clip_p30"]}
    del params["protocol"]["view"], params["finetune"]["adapter"]
    named = sum(run["model"] == "clip_p03" for run in params["finetune"]["runs"].values()) + 6  # where else it is named
    sentences = told(params)
    assert sum("'clip_p03'" in sentence for sentence in sentences) == named
    others = [sentence for sentence in sentences if "'clip_p03'" not in sentence]
    assert [sentence.split("`")[1] for sentence in others] == [
        "models[2]",
        "protocol.view",
        "compute.batch",
        "finetune.adapter",
    ]


def leaves(value: object, path: tuple = ()) -> list[tuple]:
    """The paths of all entries, sections and lists too."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, entry in entries for found in ((*path, key), *leaves(entry, (*path, key)))]


WRONG = st.sampled_from([math.nan, b"\0", {"": {}}, "x" * 100_000, "a\nb", "\ud800", -(10**30), 10**5000, [[]], {1.5}])
JUNK = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates()
JUNK |= st.lists(JUNK, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers() | st.none(), JUNK, max_size=3)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(leaves(WORLD)), WRONG | JUNK, st.booleans(), st.data())
def test_junk_anywhere_passes_or_is_told_in_sentences(path, junk, inputs, data):
    params = copy.deepcopy(WORLD)
    *sections, key = path
    parent = reduce(lambda entry, step: entry[step], sections, params)
    if isinstance(parent, dict) and data.draw(st.booleans()):
        key = data.draw(st.text(max_size=10) | st.integers() | st.none() | st.dates())
    parent[key] = junk
    sentences = told(params, inputs=inputs)
    for sentence in sentences:
        assert sentence.startswith(f"{WHERE}: `") and sentence.isprintable() and len(sentence) < 1500


@settings(deadline=None)
@given(st.sampled_from(leaves(WORLD)), WRONG)
def test_what_is_never_right_is_told_by_its_path(path, wrong):
    params = copy.deepcopy(WORLD)
    *sections, key = path
    reduce(lambda entry, step: entry[step], sections, params)[key] = wrong
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:]
    named = [sentence.split("`")[1] for sentence in told(params)]
    assert any(name.startswith(path) or path.startswith(name) for path in named)


@settings(deadline=None)
@given(st.sampled_from([*schema.PROTOCOL]), JUNK)
def test_a_protocol_that_passes_is_one(name, junk):
    if not told(changed(f"protocol.{name}", junk)):
        assert getattr(read_protocol(WORLD["protocol"] | {name: junk}), name) == junk


YAML_PARTS = st.sampled_from(
    [*"[]{}:,-?&*!|>%@`'\"#\n ", "a: 1\n", "<<: ", "!!int x", "!!bool x", "*a", "&a ", "9" * 5000, "[" * 2000]
)


@settings(deadline=None)
@given(st.text(max_size=30) | st.lists(YAML_PARTS, max_size=8).map("".join))
def test_any_text_is_sections_or_told_in_one_sentence(text):
    try:
        assert isinstance(parse(text, WHERE), dict)
    except ValueError as error:
        assert str(error).startswith(f"{WHERE} ") and "\n" not in str(error) and len(str(error)) < 400


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the default profile alone, in use."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/world.yaml").write_text(compose("world"), encoding="utf-8")
    (tmp_path / "params.yaml").write_text(compose("world"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


PROFILES = {
    "extends: word\nprofile: mine": "there is no profile 'word' in profiles: choose one of mine, world; did you mean world?",
    "extends: mine\nprofile: mine": "the profiles mine extend each other in a circle",
    "extends: [world]\nprofile: mine": "there is no profile ['world'] in profiles",
    "models: [clip_p00": "profiles/mine.yaml is no YAML in line 1",
    "- models": "profiles/mine.yaml holds ['models']: expected sections",
    "": "profiles/mine.yaml holds null: expected sections",
    "compute: {batch: 32}": "profiles/mine.yaml: `profile` is 'world': expected mine, the name of the file",
    "profile: mine\npools: 3": "profiles/mine.yaml: `pools` is 3: expected a section",
    "profile: mine\ncompute: {batches: 3}": "profiles/mine.yaml: `compute.batches` is unknown: expected one of device, threads, batch; did",
    "profile: mine\nweights: {new: {architecture: ViT-B-32, pretrained: openai}}\nmodels: [new, nwe]": "`models[1]` is 'nwe'",
}


@pytest.mark.parametrize("text", PROFILES)
def test_a_faulty_profile_is_told_and_not_used(place, text):
    before = Path("params.yaml").read_bytes()
    Path("profiles/mine.yaml").write_text(text)
    with pytest.raises(ValueError) as raised:
        use_profile("mine")
    assert PROFILES[text] in str(raised.value)
    Path("profiles/mine.yaml").write_bytes(b"models: [\xff]")
    with pytest.raises(ValueError, match=r"profiles/mine.yaml is not UTF-8 at byte 9: save it again as that"):
        use_profile("mine")
    assert Path("params.yaml").read_bytes() == before


def test_the_pipeline_does_not_start_without_its_inputs(place):
    with pytest.raises(ValueError) as raised:
        run_parallel.main()
    sentences = str(raised.value).splitlines()
    assert sentences[0] == (
        "params.yaml: `image_sets[0]` leads to data/world_outdoor, which is no folder: put it there"
    )
    assert len(sentences) == 2 + 1 + 2 + 1 + 3 + 3  # image sets, own, replicates, machines, roads, the sweep
    (place / "data/world_outdor").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"data/world_outdoor, .* did you mean world_outdor\?"):
        run_parallel.main()
    (place / "params.yaml").unlink()
    with pytest.raises(FileNotFoundError, match="params.yaml does not exist here: run this from the repository root"):
        run_parallel.main()


@pytest.mark.parametrize("command", [("use_profile", "world"), ("side_by_side",)])
@pytest.mark.parametrize("text", ["models: [", "compute: 3\nmodels: 4\n", "compute: {threads: many}"])
def test_a_command_ends_with_sentences_whatever_params_yaml_holds(place, command, text):
    (place / "params.yaml").write_text(text)
    module, *arguments = command
    code = f"import runpy, sys; sys.argv = {command!r}; runpy.run_module('stages.{module}', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(Path(__file__).parents[1])}
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert all(line.startswith("params.yaml") for line in done.stderr.splitlines()) and "params.yaml" in done.stderr


def test_the_check_needs_no_torch():
    code = "import pipeline.validation, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0

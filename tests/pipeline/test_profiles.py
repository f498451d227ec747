"""Profiles switch params.yaml there and back, spare hand edits and do not collide."""

from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from pipeline.parameters import parse
from pipeline.profiles import compose, profile_names, use_profile


def read(path: str) -> dict:
    return parse(Path(path).read_text(encoding="utf-8"), path)


def test_the_committed_parameters_are_the_default_profile():
    assert Path("params.yaml").read_bytes() == Path("profiles/world.yaml").read_bytes()


def test_profiles_switch_there_and_back_and_spare_hand_edits(tmp_path, monkeypatch):
    (tmp_path / "profiles").mkdir()
    for path in Path("profiles").glob("*.yaml"):
        (tmp_path / "profiles" / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.profiles.compose", cache(compose))  # each switch compares with every profile
    use_profile("world")
    default = Path("params.yaml").read_bytes()
    assert default == Path("profiles/world.yaml").read_bytes()
    for name in profile_names():
        use_profile(name)
        assert read("params.yaml")["profile"] == name
        assert read("params.yaml").keys() == read("profiles/world.yaml").keys()
    use_profile("world")
    assert Path("params.yaml").read_bytes() == default
    Path("params.yaml").write_bytes(default + b"# mine\n")
    with pytest.raises(ValueError, match="was edited by hand"):
        use_profile("tiny")
    with pytest.raises(ValueError, match="there is no profile 'huge'"):
        use_profile("huge")
    assert Path("params.yaml").read_bytes() == default + b"# mine\n"


def test_each_profile_has_its_own_lock_file(tmp_path, monkeypatch):
    """A new profile begins with the stages that all share; switching back brings the old one back."""
    (tmp_path / "profiles").mkdir()
    for name in ("world", "tiny"):
        (tmp_path / f"profiles/{name}.yaml").write_bytes(Path(f"profiles/{name}.yaml").read_bytes())
    committed = Path("dvc.lock").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    lock = Path("dvc.lock")
    lock.write_text(committed, encoding="utf-8")
    use_profile("world")
    assert lock.read_text(encoding="utf-8") == committed
    use_profile("tiny")
    shared = {name: stage for name, stage in parse(committed, "")["stages"].items() if name.startswith("replicate@")}
    assert shared.items() < read("dvc.lock")["stages"].items() and len(read("dvc.lock")["stages"]) < 10
    lock.write_text("schema: '2.0'\nstages: {}\n")  # what this profile computed
    use_profile("world")
    assert lock.read_text(encoding="utf-8") == committed
    use_profile("tiny")
    assert read("dvc.lock")["stages"] == {}


def test_replicates_have_the_runs_of_the_default_and_other_seeds():
    """Claims match their rows by name. The seeds of scenes, weights and draws are all different."""
    default, seeds = parse(compose("world"), "world"), []
    for name in ("world", *(f"replicate{k}" for k in range(1, 6))):
        sections = parse(compose(name), name)
        assert default["finetune"]["runs"].items() <= sections["finetune"]["runs"].items()
        adaptation, expected = sections["adaptation"], default["adaptation"]
        assert expected["runs"].items() <= adaptation["runs"].items()
        assert expected["training_free"]["clip_p03"].items() <= adaptation["training_free"]["clip_p03"].items()
        scenes, sets = sections["crop_or_model"]["scenes"], sections["rendered_sets"]
        assert sets["finetune"]["seed"] == sets["finetune_moved"]["seed"]
        seeds.append(
            {
                "probe": scenes["world_outdoor"]["seed"],
                "finetune": sets["finetune"]["seed"],
                "pictures": sections["training_pictures"]["seed"],
                "weights": sections["pretraining"]["optimisation"]["seed"],
                "draws": sections["finetune"]["optimisation"]["seed"],
                "resamples": sections["inference"]["seed"],
                "capabilities": sections["capabilities"]["seed"],
            }
        )
    assert (pd.DataFrame(seeds).nunique() == len(seeds)).all()

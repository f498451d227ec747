"""The scripts of the pipeline as commands: their help, and wrong arguments. They run here, which spares loading torch each time."""

import runpy
import sys
from pathlib import Path

import pytest

from pipeline.profiles import compose
from tests.small_clips import small_clip

SCRIPTS = sorted(path.stem for path in Path("pipeline").glob("*.py") if "__main__" in path.read_text())


@pytest.fixture
def run_script(monkeypatch):
    """Runs a script as `python -m` does; what it raises."""

    def run(script: str, *arguments: str) -> SystemExit:
        monkeypatch.setattr(sys, "argv", [script, *arguments])
        monkeypatch.delitem(sys.modules, f"pipeline.{script}", raising=False)
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(f"pipeline.{script}", run_name="__main__")
        return ended.value

    return run


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """The working directory, with the parameters of tiny, what they name, and a model."""
    for name in ("profiles", "notebooks", "data", "figures"):
        (tmp_path / name).symlink_to(Path(name).resolve())
    (tmp_path / "params.yaml").write_text(compose("tiny"))
    small_clip(tmp_path / "results/tiny/models/clip_p00")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("score_probes", "clip_p99", "probe"), "params.yaml has no model clip_p99: choose one of clip_p00"),
        (("score_probes", "clip_p00", "world_moon"), "params.yaml has no image set world_moon: choose one of probe"),
        (("train_clip", "clip_p99"), "has no model clip_p99: choose one of clip_p00"),
        (
            ("finetune", "tiny_p99"),
            "finetune.runs and adaptation.runs in params.yaml have no run tiny_p99: choose one of tiny_p30",
        ),
        (("evaluate_model", "--frozen", "clip_p99"), "params.yaml has no model clip_p99"),
        (
            ("render_image_set", "finetuned"),
            "has no set finetuned: choose one of probe, finetune, finetune_moved; did you mean",
        ),
        (("fetch_model", "clip_p99"), "has no model clip_p99: choose one of none, this profile fetches no model"),
        (("run_notebook", "01_textual"), "there is no such notebook: choose one of 00_world"),
        (("run_replicate", "tiny9"), "there is no profile tiny9: choose one of bits, "),
    ],
)
def test_a_script_reports_a_wrong_argument_in_one_sentence(repository, run_script, command, message):
    message_at_the_end = run_script(*command).code  # the interpreter prints it to stderr
    assert message in message_at_the_end and "\n" not in message_at_the_end


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_explains_itself(run_script, capsys, script):
    assert run_script(script, "--help").code == 0
    assert capsys.readouterr().out.startswith(f"usage: python -m pipeline.{script} ")

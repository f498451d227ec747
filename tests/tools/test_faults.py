"""After a kill, a full disk or a second run, locks hold no one up and files are whole. `make faults` does the same to all stages."""

import os
import resource
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest
import torch
from safetensors import SafetensorError

from clip360.finetune.loop import Checkpoint
from clip360.models.pretraining import train_clip
from pipeline import run_parallel
from pipeline.error_messages import report
from tests.copies import environment
from tests.small_clips import small_clip

WAITS = (
    "import time; from pipeline.run_parallel import only_run\nwith only_run(): print('in', flush=True); time.sleep({})"
)
STARTS_STAGE = """
import subprocess, sys, time
from pipeline.run_parallel import only_run
with only_run() as lock:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(2)"], pass_fds=[lock])
    print("in", flush=True)
    time.sleep(600)
"""
DVC_YAML = """
stages:
  a:
    cmd: python -c "import pipeline, os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
    outs: [out]
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """The working directory, a repository of DVC without git."""
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.chdir(tmp_path)
    subprocess.run(["dvc", "init", "--quiet", "--no-scm"], env=environment(), check=True)
    return tmp_path


def start(*command: str) -> subprocess.Popen:
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())


def test_a_second_run_waits_for_the_first_and_a_killed_one_holds_no_one_up(repository):
    with start(sys.executable, "-c", WAITS.format(600)) as first:
        assert first.stdout.readline() == "in\n"
        with start(sys.executable, "-c", WAITS.format(0)) as second:
            assert second.stdout.readline() == "Another run is under way: this one waits for its end.\n"
            first.kill()
            assert second.stdout.read() == "in\n" and second.wait() == 0


def test_a_second_run_waits_for_the_stages_of_a_killed_one(repository):
    with start(sys.executable, "-c", STARTS_STAGE) as first:
        assert first.stdout.readline() == "in\n"
        first.kill()
        began = time.monotonic()
        with start(sys.executable, "-c", WAITS.format(0)) as second:
            assert second.stdout.readline().startswith("Another run") and second.wait() == 0
        assert time.monotonic() - began > 1


@pytest.mark.parametrize("shell", ["/bin/bash", ""])
def test_a_stage_ends_with_the_dvc_that_started_it(repository, monkeypatch, shell):
    if shell and not shutil.which(shell):
        pytest.skip("needs bash")
    monkeypatch.setenv("SHELL", shell) if shell else monkeypatch.delenv("SHELL", raising=False)
    (repository / "dvc.yaml").write_text(DVC_YAML)
    with start("dvc", "repro") as run:
        while not (repository / "pid").exists() or not (repository / "pid").read_text():
            time.sleep(0.1)
            assert run.poll() is None
        stage = psutil.Process(int((repository / "pid").read_text()))
        run.kill()
    assert not psutil.wait_procs([stage], timeout=60)[1]


def test_a_damaged_lock_file_is_restored_from_the_last_copy(repository, capsys):
    whole = "schema: '2.0'\nstages:\n  a:\n    cmd: x\n"
    run_parallel.LOCK.write_text(whole)
    run_parallel.restore_lock_file()
    run_parallel.LOCK.write_text(whole[:-20] + "{")
    run_parallel.restore_lock_file()
    assert run_parallel.LOCK.read_text() == whole and "dvc.lock is damaged" in capsys.readouterr().out


def test_a_checkpoint_that_finds_no_room_leaves_the_last_one(tmp_path):
    checkpoint = SimpleNamespace(
        path=tmp_path / "a.pt",
        weights={"weight": torch.zeros(100_000)},
        optimiser=torch.optim.AdamW([torch.zeros(1)]),
        objective=SimpleNamespace(images_without_gradient=0),
    )
    Checkpoint.save(checkpoint, [{"loss": 1.0}])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises((RuntimeError, OSError)):
            Checkpoint.save(checkpoint, [{"loss": 2.0}])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert torch.load(checkpoint.path, weights_only=True)["history"] == [{"loss": 1.0}]


@pytest.mark.parametrize("error", [SafetensorError("I/O error: No space left on device"), OSError(28, os.strerror(28))])
def test_a_full_disk_is_reported_in_one_sentence(error):
    def fails():
        raise error

    with pytest.raises(SystemExit, match="^the disk is full, free some space and run this again: .*No space left"):
        report(fails)


def test_training_stops_where_the_loss_is_not_a_number(tmp_path):
    clip = small_clip(tmp_path)
    with torch.no_grad():
        clip.network.visual.proj[0, 0] = torch.nan
    recipe = {"steps": 2, "batch_size": 2, "peak_lr": 1e-3, "warmup_steps": 1, "weight_decay": 0.1}
    with pytest.raises(ValueError, match=r"the loss is nan at step 0: lower peak_lr \(0.001\) or raise"):
        train_clip(
            clip,
            torch.zeros(2, 3, 32, 32, dtype=torch.uint8),
            [["a"], ["b"]],
            **recipe,
            precision="float32",
            seed=0,
        )

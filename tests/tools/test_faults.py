"""What a kill, a full disk and a second run leave: locks that hold no one up, files that are whole. `make faults` does it to all stages."""

import json
import os
import resource
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
import torch
from dvc.utils.serialize import _yaml
from safetensors import SafetensorError

from clip360.finetune.loop import _Checkpoint
from clip360.models.pretraining import train_clip
from pipeline import lane
from pipeline.alone import forget_killed
from pipeline.parameters import tell
from tests.small_clips import small_clip

HOLDS = "import time; from pipeline.alone import alone\nwith alone('p'): print('in', flush=True); time.sleep({})"
STARTS = """
import multiprocessing, time
from pipeline.lane import end_with_parent
def work():
    end_with_parent()
    time.sleep(600)
if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    print(child.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """The working directory, with a place where DVC keeps its locks."""
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    monkeypatch.setenv("PYTHONPATH", os.getcwd())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(*command: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True)


def test_a_second_run_waits_for_the_first_and_a_killed_one_keeps_nobody(repository):
    with start("-c", HOLDS.format(600)) as first:
        assert first.stdout.readline() == "in\n"
        with start("-c", HOLDS.format(0)) as second:
            assert second.stdout.readline() == "Another run is under way here: this one waits for its end.\n"
            first.kill()
            assert second.stdout.read() == "in\n" and second.wait() == 0


def test_marks_of_a_killed_run_are_forgotten_though_another_process_has_its_number(repository):
    record = repository / ".dvc" / "tmp" / "rwlock"
    ours, others = ({"pid": os.getpid(), "cmd": program} for program in ("stages/p.py", "dvc repro"))
    record.write_text(json.dumps({"read": {"a": [ours, others]}, "write": {"b": ours, "c": others}}))
    forget_killed("p.py")
    assert json.loads(record.read_text()) == {"read": {"a": [others]}, "write": {"c": others}}
    record.write_text('{"write": {"b": ')  # killed while it wrote
    forget_killed("p.py")
    assert json.loads(record.read_text()) == {"read": {}, "write": {}}


def test_what_a_killed_process_started_ends(repository):
    (repository / "starts.py").write_text(STARTS)
    with start("starts.py") as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert not psutil.wait_procs([child], timeout=60)[1]


def test_the_lock_file_is_whole_at_any_time_and_as_dvc_writes_it(request, repository, monkeypatch):
    whole = (request.config.rootpath / "dvc.lock").read_text()
    data = _yaml.parse_yaml(whole, "dvc.lock")
    lane.dump_whole("dvc.lock", data, _yaml._dump)
    assert (repository / "dvc.lock").read_text() == whole

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        lane.dump_whole("dvc.lock", {"schema": "2.0"}, _yaml._dump)
    assert (repository / "dvc.lock").read_text() == whole


def test_the_lock_file_tells_what_has_changed(repository):
    first, later = ({"schema": "2.0", "stages": {"a": {"cmd": "x"}, "b": {"cmd": words}}} for words in ("y", "z"))
    for data in (first, later, {"schema": "2.0", "stages": {}}):
        lane.dump_whole("dvc.lock", data, _yaml._dump)
        with open("dvc.lock.expected", "w") as file:
            _yaml._dump(data, file)
        assert (repository / "dvc.lock").read_text() == (repository / "dvc.lock.expected").read_text()


def test_a_checkpoint_that_finds_no_room_leaves_the_last_one(tmp_path):
    checkpoint = SimpleNamespace(
        path=tmp_path / "a.pt",
        weights={"weight": torch.zeros(100_000)},
        optimiser=torch.optim.AdamW([torch.zeros(1)]),
        objective=SimpleNamespace(looks=0),
    )
    _Checkpoint.save(checkpoint, [{"loss": 1.0}])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises((RuntimeError, OSError)):
            _Checkpoint.save(checkpoint, [{"loss": 2.0}])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert torch.load(checkpoint.path, weights_only=True)["history"] == [{"loss": 1.0}]


@pytest.mark.parametrize("error", [SafetensorError("I/O error: No space left on device"), OSError(28, os.strerror(28))])
def test_a_full_disk_is_told_in_one_sentence(error):
    def fails():
        raise error

    with pytest.raises(SystemExit, match="^the disk is full, free some space and run this again: .*No space left"):
        tell(fails)


def test_training_stops_where_the_loss_is_no_number(tmp_path):
    clip = small_clip(tmp_path)
    with torch.no_grad():
        clip.network.visual.proj[0, 0] = torch.nan
    recipe = {"steps": 2, "batch": 2, "peak": 1e-3, "warmup": 1, "weight_decay": 0.1, "precision": "float32", "seed": 0}
    with pytest.raises(ValueError, match=r"the loss is nan at step 0: lower `peak` \(0.001\) or lengthen `warmup`"):
        train_clip(clip, torch.zeros(2, 3, 32, 32, dtype=torch.uint8), [["a"], ["b"]], **recipe)

"""The pipeline in other copies of the repository: workers of a queue, and replicates (docs/scale.md)."""

import hashlib
import json
import re
import shutil
import sys
import time
from pathlib import Path

from ruamel.yaml import YAML

from tests.copies import call, succeeds


def test_two_workers_of_a_queue_give_the_same_scores(clone, finished):
    """Each probes a model, in a copy of the repository; the run cache then has what they made."""
    measured, yaml = Path("results/tiny/measurements"), YAML()
    lock = yaml.load(clone / "dvc.lock")
    probes = [stage for stage in lock["stages"] if stage.startswith("score_probes@")]
    for stage in probes:
        del lock["stages"][stage]
    yaml.dump(lock, clone / "dvc.lock")
    for removed in (measured / "textual_probe", measured / "visual_probe", Path(".dvc/cache/runs")):
        shutil.rmtree(clone / removed)
    for model in ("clip_p00", "clip_p30"):
        stages = [stage for stage in probes if model in stage]
        succeeds(call(clone, "dvc", "exp", "run", "--queue", "--name", model, *stages))
    succeeds(call(clone, "dvc", "queue", "start", "--jobs", "2"))
    end, status = time.monotonic() + 600, "Queued"
    while time.monotonic() < end and ("Queued" in status or "Running" in status):
        time.sleep(1)
        status = succeeds(call(clone, "dvc", "queue", "status"))
    assert status.count("Success") == 2
    assert not (clone / measured / "visual_probe").exists()  # they worked elsewhere
    printed = succeeds(call(clone, "dvc", "repro", *probes))
    assert printed.count("is cached - skipping run") == len(probes) == 2
    succeeds(call(clone, "dvc", "queue", "stop", "--kill"))
    written, expected = (
        {path.name: path.read_bytes() for path in (root / measured / "visual_probe").iterdir()}
        for root in (clone, finished)
    )
    assert written == expected and len(written) == len(probes)


REPLICATE = """
extends: tiny
profile: tiny2
figures: results/tiny2/figures
data: results/tiny2/image_sets
finetune: {image_set: results/tiny2/image_sets/finetune, offset_image_set: results/tiny2/image_sets/finetune_moved}
own_panoramas: {images: results/tiny2/image_sets/probe, model: results/tiny2/models/clip_p30}
"""


def test_a_replicate_runs_in_a_copy_and_keeps_its_tables(clone):
    params, kept = clone / "params.yaml", clone / "figures/replicates/tiny2"
    (clone / "profiles/tiny2.yaml").write_text(REPLICATE)
    succeeds(call(clone, "git", "add", "profiles/tiny2.yaml"))
    before = params.read_text()
    params.write_text(re.sub(r"  stages: \[[^]]*\]", "  stages: [own_panoramas]", before))
    succeeds(call(clone, sys.executable, "-m", "pipeline.run_replicate", "tiny2"))
    params.write_text(before)
    table = clone / "results/tiny/figures/09_score_your_panoramas/scores.csv"  # of the same seeds
    assert (kept / "09_score_your_panoramas/scores.csv").read_bytes() == table.read_bytes()
    provenance = json.loads((kept / "provenance.json").read_text())
    commit = succeeds(call(clone, "git", "rev-parse", "HEAD")).strip()
    assert provenance["commit"] == f"{commit}-dirty" and provenance["stages"] == ["own_panoramas"]
    assert provenance["params"]["profile"] == "tiny2" and provenance["params"]["textual_probe"]
    sums = {name: hashlib.sha256((kept / name).read_bytes()).hexdigest() for name in provenance["sha256"]}
    assert provenance["sha256"] == sums and "09_score_your_panoramas/scores.csv" in sums
    shutil.rmtree(kept)
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout

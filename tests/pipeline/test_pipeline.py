"""The whole pipeline, at the size of the profile tiny: what it writes, and what `dvc repro` runs, at first and after a change."""

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from ruamel.yaml import YAML

from clip360.models.clip import CONFIGURATION, WEIGHTS
from tests.copies import call, copy_repository, succeeds

FIGURES = Path("results/tiny/figures")
COLUMNS = {  # NOTEBOOK/TABLE: the first columns, which readers of the tables rely on
    "00b_pretraining/pretraining_evaluation": "model,task,n,chance,score,score_low,score_high,times_chance,",
    "01_textual_probe/cue_tests": "model,image_set,view,generic_cue,n,mean_s,mean_su,W,p,p_holm,effect,effect_low,effect_high,reject,reject_paper,",
    "01_textual_probe/cue_kinds": "model,image_set,kind,n,gain,gain_low,gain_high,control_gain,",
    "01_textual_probe/summary": "model,image_set,contrast,contrast_low,contrast_high,gain,gain_low,gain_high,control_gain,",
    "02_visual_shift_probe/shift_tests": "model,image_set,view,shift,n,beta,median_abs_diff,W,p,p_holm,effect,effect_low,effect_high,stable,stable_uncorrected,",
    "02_visual_shift_probe/summary": "model,image_set,view,stable,stable_uncorrected,n,beta,beta_low,beta_high,worst_shift,of_beta,",
    "02_visual_shift_probe/findings": "claim,statement,verdict,case,unit,",
    "03_statistics/findings": "claim,statement,verdict,case,unit,",
    "03_statistics/rule_fractions": "experiment,model,image_set,rule,tests,rejected,",
    "03_statistics/normality": "experiment,model,image_set,compared,n,W,p,normal",
    "03_statistics/verdicts": "experiment,model,image_set,compared,n,paper,holm,sign,interval,equivalent,minimum_n,required_n",
    "05_tradeoff/tradeoff": "model,base_model,method,view,lambda,shift_range,lr,epochs,usual,reference,image_set,role,n,",
    "05_tradeoff/distance": "model,instability_ratio,",
    "05b_protocol_ablations/protocol_ablations": "ablation,model,image_set,n,score_change,score_change_low,score_change_high,score_change_of_beta,",
    "06_crop_or_model/variance_decomposition": "model,image_set,view,n,sd,sd_low,sd_high,content_sd,content_sd_low,content_sd_high,position_sd,",
    "06_crop_or_model/stability_bounds": "model,image_set,view,control,n,beta,beta_low,beta_high,tests,stable,stable_uncorrected,worst_shift,of_beta,",
    "06_crop_or_model/view_comparison": "model,image_set,view,n_shifts_averaged,passes,n,sd,",
    "06_crop_or_model/findings": "claim,statement,verdict,case,unit,",
    "06b_panorama_fraction/differences": "comparison,model,reference,image_set,measure,difference,difference_low,difference_high",
    "06b_panorama_fraction/trends": "image_set,measure,replicates,rho,minimum,maximum,p,p_holm",
    "07_adaptation_methods/tradeoff": "model,base_model,method,view,lambda,shift_range,lr,epochs,usual,reference,image_set,role,n,",
    "07_adaptation_methods/methods": "method_family,model,base_model,method,view,lambda,shift_range,lr,epochs,usual,reference,",
    "07_adaptation_methods/comparison": "method_family,method,model,lambda,passes,best_of_family,versus,passes_versus,kind,measure,"
    "value,value_low,value_high",
    "07_adaptation_methods/dominance": "method,versus,passes,replicates,instability_high,weakest,loss_low,dominates",
    "08_capabilities/zero_shot_classification": "model,view,task,n,top1,top1_low,top1_high,top1_single,top5,calibration_error,chance,times_chance,",
    "08_capabilities/fine_grained_attributes": "model,view,measure,subset,n,mean_rank,chance,advantage,advantage_low,advantage_high,p,p_holm,decided",
    "08_capabilities/presence": "model,n,auc,auc_low,auc_high,p,p_holm,decided",
    "08_capabilities/view_costs": "model,task,other,n,level_panorama,",
    "08_capabilities/matching": "model,task,measure,n,level,level_low,level_high,gain,gain_low,gain_high,p,p_holm,decided",
    "08_capabilities/linear_probes": "model,task,n,probe,probe_low,probe_high,chance,zero_shot,",
    "08_capabilities/viewpoint_consistency": "model,view,task,level,n,same_scene,same_scene_low,same_scene_high,scene_category,",
    "08b_adaptation_costs/retrieval": "model,view,direction,n,R@1,R@1_low,R@1_high,R@5,",
    "08b_adaptation_costs/capability_changes": "model,base_model,reference,method,lambda,shift_range,task,view,n,frozen,frozen_low,frozen_high,",
    "09_score_your_panoramas/scores": "image,caption,score,robust,spread,worst,worst_yaw,seam,seam_blend,discontinuity,poles,cube_edges",
    "10_claims/claims": "claim,statement,verdict,case,unit,value,low,high,replicates,mean,mean_low,mean_high,spread,case_verdict,",
}


def test_every_notebook_writes_what_it_promises(clone):
    figures = clone / FIGURES
    notebooks = {path.stem for path in (clone / "notebooks").glob("*.ipynb")}
    files = {
        "live",
        "cards",
        "checksums.csv",
        "metrics.json",
        *(f"findings.{suffix}" for suffix in ("csv", "md", "tex")),
    }
    assert {path.name for path in figures.iterdir()} == notebooks | files
    assert all((figures / name / f"{name}.ipynb").is_file() for name in notebooks)
    assert {path.name for path in (figures / "live").iterdir()} == {"index.html", "scores.csv"}
    assert {path.suffix for path in (figures / "cards").glob("leaderboard.*")} == {".csv", ".html", ".md"}
    assert {path.name for path in (figures / "cards").glob("*/*")} == {"card.html", "card.json"}
    for table, columns in COLUMNS.items():
        assert (figures / f"{table}.csv").read_text().startswith(columns), table
        assert all((figures / f"{table}{suffix}").stat().st_size for suffix in (".md", ".tex"))
    images = {path.relative_to(figures).with_suffix("") for path in figures.glob("*/*.png")}
    assert (
        images == {path.relative_to(figures).with_suffix("") for path in figures.glob("*/*.svg")} and len(images) >= 20
    )
    tests = (figures / "02_visual_shift_probe/shift_tests.md").read_text()
    assert "p_holm" in tests and "| 0 " not in tests  # small p values are not rounded to 0


def test_dvc_repro_gives_the_same(finished, tmp_path):
    """From nothing to scores and to a notebook, each stage in a process of its own: by DVC's record the same bytes as by workers."""
    copy, ends = copy_repository(tmp_path, profile="tiny"), ("score_probes@clip_p30-probe", "own_panoramas")
    succeeds(call(copy, "dvc", "repro", *ends))
    recorded, expected = (YAML(typ="safe").load(folder / "dvc.lock")["stages"] for folder in (copy, finished))
    assert recorded.keys() > {"render_training_pictures@views", "render_image_set@probe", "train@clip_p30", *ends}
    assert recorded == {name: expected[name] for name in recorded}


def test_a_second_run_does_nothing(clone):
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout
    assert "Running stage" not in call(clone, "dvc", "repro").stdout
    assert not succeeds(call(clone, sys.executable, "-m", "pipeline.run_parallel"))


def test_a_parallel_run_gives_the_same(clone):
    """Of the visual probe, whose scores no cache has any more."""
    text, cache = (clone / "dvc.lock").read_text(), clone / ".dvc/cache"
    for name, stage in YAML(typ="safe").load(text)["stages"].items():
        if name.startswith("score_probes@"):
            for out in stage["outs"]:
                (cache / "files/md5" / out["md5"][:2] / out["md5"][2:]).unlink()
                (clone / out["path"]).unlink()
    shutil.rmtree(cache / "runs")
    printed = succeeds(call(clone, sys.executable, "-m", "pipeline.run_parallel", "visual_probe"))
    assert printed.count("score_probes@") == 2 and "visual_probe" in printed.splitlines()[-1]
    assert (clone / "dvc.lock").read_text() == text
    assert "Data and pipelines are up to date." in call(clone, "dvc", "status").stdout


def test_the_order_of_sets_changes_nothing(clone):
    """Python draws it anew in every process."""
    results = clone / "results/tiny"
    files = [
        *(results / "measurements" / table / "clip_p30.parquet" for table in ("tradeoff", "capabilities")),
        results / "text_embeddings/clip_p30.safetensors",
    ]
    before = [path.read_bytes() for path in files]
    for seed in ("1", "2"):
        for path in files:
            path.unlink()
        command = (sys.executable, "-m", "pipeline.evaluate_model", "--frozen", "clip_p30")
        succeeds(call(clone, *command, PYTHONHASHSEED=seed))
        assert [path.read_bytes() for path in files] == before


INTERRUPTED = """
import sys, time
import clip360.finetune.loop as loop
from pipeline.finetune import main
save = loop.Checkpoint.save
def save_and_wait(self, history):
    save(self, history)
    print("epoch", flush=True)
    time.sleep(600)
loop.Checkpoint.save = save_and_wait
main(sys.argv[1])
"""


def test_a_fine_tuning_killed_and_run_again_ends_the_same(clone):
    """SIGKILL after the first epoch: the stage continues, and ends with the same weights, logs and card."""
    run, finetuned = "tiny_p30_attention_l050", clone / "results/tiny/finetuned/tradeoff"
    whole = {path.relative_to(finetuned / run): path.read_bytes() for path in (finetuned / run).rglob("*.*")}
    shutil.rmtree(finetuned / run)
    command = [sys.executable, "-c", INTERRUPTED, run]
    with subprocess.Popen(command, cwd=clone, stdout=subprocess.PIPE, text=True, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == "epoch\n"
        process.kill()
    assert not (finetuned / run).exists() and len(list((clone / "results/tiny/checkpoints").iterdir())) == 1
    done = call(clone, sys.executable, "-m", "pipeline.finetune", run)
    assert done.returncode == 0 and "| 1/2 " in done.stderr.split("fine-tune")[1], done.stderr[-2000:]
    assert {path.relative_to(finetuned / run): path.read_bytes() for path in (finetuned / run).rglob("*.*")} == whole
    assert not list((clone / "results/tiny/checkpoints").iterdir())


def test_metrics_params_and_plots_are_there(clone):
    assert "holds" in call(clone, "dvc", "metrics", "show").stdout
    params = clone / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("lr: 0.001,", "lr: 0.002,"))
    assert "finetune.optimisation.lr" in call(clone, "dvc", "params", "diff").stdout
    params.write_text(before)
    assert "index.html" in call(clone, "dvc", "plots", "show").stdout


def test_a_new_model_is_all_that_is_computed(clone):
    """The new model has the weights of an old one: DVC fetches it, and then runs only its measurements and the notebooks."""
    params, old = clone / "params.yaml", "results/tiny/models/clip_p30"
    before = params.read_text()
    weights = f"weights: {{clip_new: {{architecture: {old}/{CONFIGURATION}, pretrained: {old}/{WEIGHTS}}}}}"
    added = before.replace("models: [clip_p00, clip_p30]", "models: [clip_p00, clip_p30, clip_new]")
    params.write_text(added.replace("weights: {}", weights))
    succeeds(call(clone, "dvc", "repro", "fetch"))
    due = succeeds(call(clone, "dvc", "repro", "--dry"))
    params.write_text(before)
    shutil.rmtree(clone / "results/tiny/models/clip_new")
    stages = [line.split("'")[1].partition("@") for line in due.splitlines() if line.startswith("Running stage")]
    scored = {name for name, _, item in stages if "clip_new" in item}
    assert scored == {"score_probes", "score_view_modes", "evaluate_frozen"}
    others = {name for name, _, item in stages if "clip_new" not in item}
    notebooks = {
        *("pretraining", "textual_probe", "visual_probe", "statistics", "lora", "tradeoff", "protocol_ablations"),
        *("crop_or_model", "panorama_fraction", "adaptation_methods", "capabilities", "adaptation_costs", "claims"),
    }
    assert others <= notebooks | {"evaluate_pretraining", "live_figure", "model_cards", "checksums", "pages"}


def test_a_parameter_out_of_range_is_reported_by_every_stage(clone):
    params = clone / "params.yaml"
    before = params.read_text()
    params.write_text(before.replace("alpha: 0.01", "alpha: 1.5"))
    done = call(clone, "dvc", "repro", "visual_probe")
    params.write_text(before)
    assert done.returncode != 0 and "Traceback" not in done.stdout + done.stderr
    assert "`inference.alpha` is 1.5: expected" in done.stdout + done.stderr
    assert call(clone, "dvc", "repro", "visual_probe").returncode == 0


def test_a_failing_notebook_says_why_in_one_line(clone):
    source, rendered = (
        clone / "notebooks/01_textual_probe.ipynb",
        clone / FIGURES / "01_textual_probe/01_textual_probe.ipynb",
    )
    whole, before = source.read_text(), rendered.read_bytes()
    notebook = nbformat.read(source, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("raise ValueError('the sea is dry')"))
    nbformat.write(notebook, source)
    done = call(clone, sys.executable, "-m", "pipeline.run_notebook", "01_textual_probe")
    source.write_text(whole)
    assert done.returncode == 1
    assert "failed with ValueError: the sea is dry (traceback in " in done.stderr.splitlines()[-1]
    assert rendered.read_bytes() == before and (clone / FIGURES / "01_textual_probe.failed.ipynb").is_file()
    assert "failed" not in call(clone, "git", "status", "--short").stdout


def test_a_parallel_run_reports_a_stage_that_does_not_exist(clone):
    done = call(clone, sys.executable, "-m", "pipeline.run_parallel", "nowhere")
    assert done.returncode == 1 and "nowhere" in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr

"""The repository agrees with itself: pins, profiles, parameters of notebooks, dependencies of stages, the README."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from ruamel.yaml import YAML

from pipeline.profiles import compose, profile_names, use_profile
from pipeline.run_notebook import (
    fill_parameters,
    parameter_literals,
    parameter_values,
    parameters_source,
    remove_traces,
)
from pipeline.update_readme import fill

NOTEBOOKS = sorted(Path("notebooks").glob("*.ipynb"))


def load(path: str | Path) -> dict:
    return YAML(typ="safe").load(Path(path).read_text(encoding="utf-8"))


def test_pip_and_conda_install_the_same():
    pip = re.findall(r"^([^#\s]+==\S+)", Path("requirements.txt").read_text(), re.MULTILINE)
    *_, conda = load("environment.yml")["dependencies"]
    assert sorted(pip) == sorted(conda["pip"]) and len(pip) > 100
    unpinned = [
        line
        for line in Path("requirements.txt").read_text().splitlines()
        if line and "==" not in line and line[0] != "#"
    ]
    assert not unpinned


def test_the_default_profile_is_what_is_committed():
    assert Path("params.yaml").read_bytes() == Path("profiles/world.yaml").read_bytes()


def test_profiles_switch_there_and_back_and_spare_hand_edits(tmp_path, monkeypatch):
    for path in Path("profiles").glob("*.yaml"):
        (tmp_path / "profiles").mkdir(exist_ok=True)
        (tmp_path / "profiles" / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    use_profile("world")
    default = Path("params.yaml").read_bytes()
    for name in profile_names():
        use_profile(name)
        assert load("params.yaml")["profile"] == name
        assert load("params.yaml").keys() == load("profiles/world.yaml").keys()
    use_profile("world")
    assert Path("params.yaml").read_bytes() == default
    Path("params.yaml").write_bytes(default + b"# mine\n")
    with pytest.raises(ValueError, match="was edited by hand"):
        use_profile("tiny")
    with pytest.raises(ValueError, match="there is no profile 'huge'"):
        use_profile("huge")


def test_names_of_fine_tuning_runs_are_unique_over_all_profiles(tmp_path):
    """They alone name the stages, and profiles share dvc.lock."""
    names = []
    for profile in profile_names():
        (tmp_path / "params.yaml").write_text(compose(profile), encoding="utf-8")
        names += load(tmp_path / "params.yaml")["finetune"]["runs"]
    assert len(names) == len(set(names)) > len(profile_names())


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_source_notebook_is_clean_and_shows_the_default_parameters(path):
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    params = load("params.yaml")
    for name, literal in parameter_literals(parameters_source(notebook)).items():
        if name in params:
            assert ast.literal_eval(literal) == params[name], f"{path}: {name} differs from params.yaml"


def imported(source: str) -> set[str]:
    """Modules of the project that a source imports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    files = {Path(*name.split(".")).with_suffix(".py") for name in names if name}
    return {str(file) for file in files if file.is_file() and file.parts[0] in ("lib", "stages")}


def sources(command: str) -> tuple[str, str]:
    """The file that a stage's command runs, and its Python source."""
    if match := re.search(r"notebooks/\w+\.ipynb", command):
        cells = nbformat.read(match[0], as_version=4).cells
        return match[0], "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    script = re.search(r"-m (stages\.\w+)", command)[1].replace(".", "/") + ".py"
    return script, Path(script).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", load("dvc.yaml")["stages"])
def test_a_stage_depends_on_all_the_code_it_runs(name):
    stage = load("dvc.yaml")["stages"][name]
    stage = stage.get("do", stage)
    file, source = sources(stage["cmd"])
    needed, waiting = {file}, imported(source)
    while waiting:
        module = waiting.pop()
        needed.add(module)
        waiting |= imported(Path(module).read_text(encoding="utf-8")) - needed
    covered = [dep for dep in stage["deps"]]
    missing = [module for module in needed if not any(module == dep or module.startswith(f"{dep}/") for dep in covered)]
    assert not missing, f"stage {name} runs {missing} without depending on it"
    sections = {param.split(".")[0] for param in stage["params"]}
    assert sections <= load("params.yaml").keys()
    if file.endswith(".ipynb"):
        used = (
            parameter_literals(parameters_source(nbformat.read(file, as_version=4))).keys() & load("params.yaml").keys()
        )
        assert used == sections, f"stage {name}: the parameters cell and `params` name different sections"


def test_the_readme_shows_what_the_pipeline_wrote():
    text = Path("README.md").read_text(encoding="utf-8")
    assert text.count("<!-- end -->") >= 2
    assert fill(text, Path("figures/tables")) == text


def test_parameters_come_from_the_file_or_the_command_line():
    source = "seed = 1  # of all draws\nmodel = 'a'"
    assert fill_parameters(source, parameter_values(source, {"seed": 7, "model": "b"}, {"model": "c"})) == (
        "seed = 7  # of all draws\nmodel = 'c'"
    )
    with pytest.raises(ValueError, match="the parameters cell has no `sed`"):
        parameter_values(source, {"seed": 7, "model": "b"}, {"sed": 1})
    with pytest.raises(ValueError, match="`model` has no value"):
        parameter_values(source, {"seed": 7}, {})


def test_what_differs_between_equal_runs_is_removed():
    def ran(address: str, seconds: float):
        cell = nbformat.v4.new_code_cell("f", execution_count=1, metadata={"papermill": {"duration": seconds}})
        cell.outputs = [
            nbformat.v4.new_output("stream", name="stderr", text=f"{seconds} s"),
            nbformat.v4.new_output("stream", text="a"),
            nbformat.v4.new_output("stream", text="b"),
            nbformat.v4.new_output("execute_result", {"text/plain": f"<f at {address}>"}, execution_count=1),
        ]
        cell.id = "one"
        notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"papermill": {"start": seconds}})
        remove_traces(notebook)
        return notebook

    assert ran("0x7f01", 1.0) == ran("0x7f02", 2.0)
    assert [output.output_type for output in ran("0x1", 1).cells[0].outputs] == ["stream", "execute_result"]

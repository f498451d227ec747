"""params.yaml as typed objects: every parameter with its type and range. params.yaml itself explains what each one means.

    params = read_params()
    params.runs["p03_omniview"].lam

Choices that other modules define are repeated here, because those modules load torch; tests/pipeline/test_parameters.py
compares them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML

from pipeline import checks
from pipeline.error_messages import nearest, shown

PARAMS = Path("params.yaml")

T = TypeVar("T")


def _text(expected: str, pattern: str = r".*\S.*") -> type[str]:
    """A string of printable characters on one line that matches a pattern as a whole."""

    def check(value: str) -> str:
        if len(value) > 1000 or not value.isprintable() or not re.fullmatch(pattern, value):
            raise ValueError(f"expected {expected}")
        return value

    return Annotated[str, AfterValidator(check)]


def _check_distinct(values: list) -> list:
    repeated = next((value for k, value in enumerate(values) if value in values[:k]), None)
    if repeated is not None:
        raise ValueError(f"expected different entries, but {shown(repeated)} appears twice")
    return values


def _check_shift_range(value: list[float]) -> list[float]:
    if len(value) != 2 or not value[0] < value[1]:
        raise ValueError("expected [low, high], two fractions of the width with low < high")
    return value


# Names become file names and words of commands.
Name = _text("a name of at most 80 letters, digits, _ and -", r"\w[\w-]{0,79}")
FolderName = _text("the name of a folder, of letters, digits, _, - and .", r"\w[\w.-]{0,79}")
OutputFolder = _text("a folder in the repository, of letters, digits, _, -, . and /", r"(?!.*\.\.)\w[\w./-]*")
PathText = _text("the path of a file or folder")
Words = _text("a few words")
Template = _text("a text with {cue} and {caption}", r"(?=.*\{cue\})(?=.*\{caption\})[^{}]*(\{(cue|caption)\}[^{}]*){2}")
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
CountFromZero = Annotated[int, Field(ge=0, le=1_000_000)]
Shifts = Annotated[int, Field(ge=2, le=1000)]
Pixels = Annotated[int, Field(ge=1, le=16_384)]
Layers = Annotated[int, Field(ge=1, le=1000)]
Width = Annotated[int, Field(ge=1, le=65_536)]
Rate = Annotated[float, Field(gt=0, lt=1)]  # learning rates and significance levels
Fraction = Annotated[float, Field(ge=0, le=1)]
WeightDecay = Annotated[float, Field(ge=0, le=10)]
JpegQuality = Annotated[int, Field(ge=1, le=100)]
Yaw = Annotated[float, Field(ge=-180, le=180)]  # degrees
Pitch = Annotated[float, Field(ge=-90, le=90)]
FieldOfView = Annotated[float, Field(gt=0, lt=180)]
ShiftRange = Annotated[list[Fraction], AfterValidator(_check_shift_range)]
Distinct = Annotated[list[T], Field(max_length=1000), AfterValidator(_check_distinct)]
DistinctNonempty = Annotated[list[T], Field(min_length=1, max_length=1000), AfterValidator(_check_distinct)]
NoneIfEmpty = BeforeValidator(lambda section: None if section == {} else section)

Environment = Literal["indoor", "outdoor"]
Split = Literal["train", "finetune", "validation", "probe"]
SingleImageView = Literal["own", "center_crop", "squash", "letterbox", "wide"]
View = Literal["own", "center_crop", "squash", "letterbox", "wide", "multi_view"]
Resize = Literal["pil", "tensor"]
Activation = Literal["own", "gelu", "quick_gelu"]
Precision = Literal["float32", "bfloat16", "float16"]
Pairing = Literal["name", "order"]
LongTexts = Literal["report", "silent"]
PositionalEmbedding = Literal["own", "circular", "rows"]
Tokenisation = Literal["own", "anti_aliased", "adaptive"]
Pooling = Literal["own", "even_columns", "row_means"]
NumberOfViews = Annotated[int, Field(ge=1, le=64)]
Decimals = Annotated[int, Field(ge=0, le=12)]
LoraMethod = Literal["lora_as_released", "lora_attention"]
Method = Literal[
    "lora_as_released",
    "lora_attention",
    "positional_embedding",
    "last_block",
    "image_tower",
    "text_tower",
    "both_towers",
    "omniview",
    "omniview_offset",
    "omniview_all_views",
    "omniview_panoramas_only",
    "linear_head",
    "mlp_head",
    "image_head",
    "text_head",
    "distilled",
    "distilled_tower",
    "distilled_canonical",
    "distilled_periodic",
    "distilled_anti_aliased",
    "distilled_adaptive",
]
TrainingFreeMethod = _text(
    "average_NUMBER, single_pass, multi_view or circular_positional_embedding, also with _WORD behind it",
    r"(average_[1-9]\d{0,3}|single_pass|multi_view|circular_positional_embedding)(_\w+)?",
)


class Section(BaseModel):
    """A section of params.yaml: unknown keys and values of another type are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)


class Inference(Section):
    alpha: Rate
    n_bootstrap: Count
    seed: Seed


class ProbeSets(Section):
    seed: Seed
    n_images: Count
    height: Pixels
    environment: dict[FolderName, Environment | None]
    format_cues: DistinctNonempty[Words]


class RenderedSet(Section):
    split: Split
    environment: Environment | None
    seed: Seed
    n_images: Count
    height: Pixels
    camera_offset: Fraction = 0.0  # metres


class WeightSource(Section):
    architecture: Words
    pretrained: PathText | None = None
    revision: _text("a commit, 40 hexadecimal digits", "[0-9a-f]{40}") | None = None
    sha256: _text("64 hexadecimal digits", "[0-9a-f]{64}") | None = None


class Protocol(Section):
    view: View
    n_views: NumberOfViews
    view_fov: FieldOfView
    resize: Resize
    activation: Activation
    precision: Precision
    clamp_at_zero: bool
    decimals: Decimals | None
    jpeg_quality: JpegQuality | None
    pairing: Pairing
    long_texts: LongTexts


class ProtocolChanges(Section):
    """The parameters of the protocol that an ablation changes: ``model_dump(exclude_unset=True)`` gives only these."""

    view: View = "own"
    n_views: NumberOfViews = 4
    view_fov: FieldOfView = 90.0
    resize: Resize = "pil"
    activation: Activation = "own"
    precision: Precision = "float32"
    clamp_at_zero: bool = True
    decimals: Decimals | None = None
    jpeg_quality: JpegQuality | None = None
    pairing: Pairing = "name"
    long_texts: LongTexts = "report"


class Compute(Section):
    device: _text("cpu, cuda or cuda:NUMBER", r"cpu|cuda(:\d{1,3})?") | None
    threads: Annotated[int, Field(ge=1, le=1024)] | None
    one_code_path: bool
    batch_size: Count


class TrainingPictures(Section):
    seed: Seed
    n_views: Count
    n_panoramas: Count
    n_held_out: Count
    size: Pixels
    captions_per_image: Count
    format_cues: DistinctNonempty[Words]
    generic_cues: DistinctNonempty[Words]


class VisionConfig(Section):
    image_size: Pixels
    patch_size: Pixels
    layers: Layers
    width: Width
    head_width: Width


class TextConfig(Section):
    context_length: Annotated[int, Field(ge=3, le=10_000)]
    vocab_size: Annotated[int, Field(ge=49_408, le=1_000_000)]  # CLIP's tokenizer has 49,408 tokens
    layers: Layers
    width: Width
    heads: Width


class Architecture(Section):
    embed_dim: Width
    vision_cfg: VisionConfig
    text_cfg: TextConfig


class PretrainingOptimisation(Section):
    steps: Count
    batch_size: Count
    peak_lr: Rate
    warmup_steps: CountFromZero
    weight_decay: WeightDecay
    precision: Literal["float32", "bfloat16"]
    seed: Seed


class PretrainedModel(Section):
    """A model to train; ``n_images`` is None where that of the section applies."""

    panorama_fraction: Fraction
    n_images: Count | None = None
    cue_reliability: Fraction = 1.0


class Pretraining(Section):
    models: dict[Name, PretrainedModel]
    n_images: Count
    architecture: Architecture
    optimisation: PretrainingOptimisation


class ControlView(Section):
    yaw: Yaw
    pitch: Pitch
    fov: FieldOfView
    size: Pixels


class HeldOutCues(Section):
    parts: Distinct[Words]
    unseen: Distinct[Words]
    paraphrase: Distinct[Template]


class TextualProbe(Section):
    generic_cues: DistinctNonempty[Words]
    held_out_cues: HeldOutCues
    control_view: ControlView


class VisualProbe(Section):
    n_shifts: Shifts
    n_curve_shifts: Shifts


class PerspectiveViews(Section):
    cue: Words
    fov: FieldOfView


class Lora(Section):
    rank: Annotated[int, Field(ge=1, le=4096)]
    alpha: Annotated[int, Field(ge=1, le=10_000)]
    dropout: Annotated[float, Field(ge=0, le=0.99)]
    seed: Seed


class FinetuneOptimisation(Section):
    epochs: Count
    batch_size: Count
    lr: Rate
    weight_decay: WeightDecay
    max_grad_norm: Annotated[float, Field(gt=0, lt=1000)]
    seed: Seed


class Run(Section):
    """A fine-tuning run; ``lr`` and ``epochs`` are None where those of `finetune` apply."""

    model: Name
    lam: Fraction
    shift_range: ShiftRange
    lr: Rate | None = None
    epochs: Count | None = None


class LoraRun(Run):
    """A run of the paper's experiment."""

    method: LoraMethod
    view: ClassVar[None] = None


class AdaptationRun(Run):
    """A run by any adaptation method; ``view`` is None where the protocol's applies."""

    method: Method
    view: SingleImageView | None = None


class TrainingFree(Section):
    """A frozen model used in another way; ``view`` is None where the protocol's applies."""

    model: Name
    method: TrainingFreeMethod
    view: View | None = None
    n_shifts: Annotated[int, Field(ge=1, le=1000)] = 1
    positional_embedding: PositionalEmbedding = "own"
    tokenisation: Tokenisation = "own"
    pooling: Pooling = "own"
    canonical_yaw: bool = False


class Finetune(Section):
    image_set: PathText
    n_validation: CountFromZero
    offset_image_set: PathText
    n_shifts: Shifts
    n_worst: Annotated[int, Field(ge=1, le=1000)]
    perspective_views: PerspectiveViews
    lora: Lora
    optimisation: FinetuneOptimisation
    runs: dict[Name, LoraRun]


class Adaptation(Section):
    base_model: Name | None
    recall_tolerance: Fraction
    runs: dict[Name, AdaptationRun]
    training_free: dict[Name, dict[Name, TrainingFree]]


class ProtocolAblations(Section):
    models: DistinctNonempty[Name]
    n_images: Count
    variants: dict[Name, ProtocolChanges]


class Controls(Section):
    small_shift: Rate
    jpeg_quality: JpegQuality
    resample_scale: Rate


class RenderedScenes(Section):
    split: Split
    environment: Environment | None
    seed: Seed
    height: Pixels


class TokenAnalysis(Section):
    models: DistinctNonempty[Name]
    views: DistinctNonempty[View]
    n_images: Count


class CropOrModel(Section):
    n_images: Count
    views: DistinctNonempty[View]
    n_shifts: Shifts
    n_windows: Annotated[int, Field(ge=3, le=1000)]  # the variance over in-window shifts other than 0 needs two of them
    controls: Controls
    control_yaw: Yaw
    scenes: dict[FolderName, RenderedScenes]
    visibility_columns: Annotated[int, Field(ge=2, le=16_384)]
    token_analysis: TokenAnalysis


class ObjectCrop(Section):
    pitch: Pitch
    fov: FieldOfView
    size: Pixels


class Viewpoints(Section):
    n_images: Count
    height: Pixels
    distances: DistinctNonempty[Annotated[float, Field(gt=0, lt=2)]]  # metres


class Matching(Section):
    models: Distinct[Name]
    n_validation: Count
    epochs: Count
    batch_size: Count
    lrs: Annotated[list[Rate], Field(min_length=2, max_length=2)]
    seed: Seed


class Capabilities(Section):
    n_images: Count | None
    captions_per_image: Count
    crop: ObjectCrop
    seed: Seed
    viewpoints: Viewpoints
    matching: Matching
    n_blind_scenes: Count


class ViewsAround(Section):
    n_views: NumberOfViews
    fov: FieldOfView


class LiveFigure(Section):
    n_panoramas: Count
    n_yaws: Shifts
    generic_cue: Words
    perspective_views: ViewsAround


class ModelCards(Section):
    n_images: Count


class OwnPanoramas(Section):
    images: PathText
    model: PathText
    adapter: PathText | None
    view: View
    n_shifts: Shifts
    n_images: Count | None


class Replicates(Section):
    names: Distinct[Name]
    other_machines: dict[Name, Name]
    stages: DistinctNonempty[Name]


class Parameters(Section):
    """All parameters of the profile in use."""

    profile: Name
    figures: OutputFolder
    image_sets: DistinctNonempty[FolderName]
    data: PathText
    probe_sets: ProbeSets
    rendered_sets: dict[FolderName, RenderedSet]
    models: DistinctNonempty[Name]
    weights: dict[Name, WeightSource]
    protocol: Protocol
    compute: Compute
    training_pictures: Annotated[TrainingPictures | None, NoneIfEmpty]
    pretraining: Pretraining
    inference: Inference
    textual_probe: TextualProbe
    visual_probe: VisualProbe
    finetune: Finetune
    adaptation: Adaptation
    protocol_ablations: ProtocolAblations
    crop_or_model: CropOrModel
    capabilities: Capabilities
    live_figure: LiveFigure
    model_cards: ModelCards
    own_panoramas: OwnPanoramas
    replicates: Replicates

    @property
    def results(self) -> Path:
        """The folder of this profile's results."""
        return Path("results", self.profile)

    @property
    def runs(self) -> dict[str, LoraRun | AdaptationRun]:
        """All fine-tuning runs: those of the paper's experiment, and those with other adaptation methods."""
        return self.finetune.runs | self.adaptation.runs


def read_params(path: str | Path = PARAMS, *, inputs: bool = False) -> Parameters:
    """The validated parameters in a file; with ``inputs``, ``checks.check_inputs`` looks at the files they name too.

    Raises FileNotFoundError outside the repository root, and ValueError with one line for each fault.
    """
    params = validate(parse(read_text(Path(path)), path), path)
    if inputs:
        checks.check_inputs(params, path)
    return params


def read_text(path: Path) -> str:
    """The text of a file; FileNotFoundError if there is none, ValueError if it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} does not exist here: run this from the repository root") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 at byte {error.start}: save it as UTF-8") from error


def parse(text: str, source: str | Path, yaml: YAML | None = None) -> dict:
    """The sections in a YAML text; ValueError, which names its ``source``, if it has none."""
    try:
        sections = (yaml or YAML(typ="safe")).load(text)
    except Exception as error:  # the parser raises errors of many kinds
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or error
        line = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(
            f"{source} is not valid YAML{line} ({' '.join(str(problem).split())[:200]}): correct it"
        ) from error
    if not isinstance(sections, dict):
        raise ValueError(f"{source} holds {shown(sections)}: expected the sections that profiles/world.yaml has")
    return sections


def validate(sections: dict, source: str | Path) -> Parameters:
    """Typed parameters; ValueError with a line for each fault, which names the ``source`` and the parameter."""
    params, faults = None, []
    try:
        params = Parameters.model_validate(sections)
    except ValidationError as error:
        faults = list(_faults(error))
    faults += checks.contradictions(sections, {fault.path for fault in faults})
    checks.raise_faults(faults, source)
    return params


def _faults(error: ValidationError) -> Iterator[checks.Fault]:
    """The faults that pydantic finds, in the words of the pipeline."""
    for details in error.errors(include_url=False):
        *sections, last = details["loc"]
        if last == "[key]":
            key = details["input"]
            yield checks.Fault(checks.join(*sections[:-1]), f"has the key {shown(key)}: {_expected(details)}")
        elif details["type"] == "extra_forbidden":
            names = _section(sections).model_fields
            advice = f"expected one of {', '.join(names)}{nearest(last, names)}"
            yield checks.Fault(checks.join(*sections, last), f"is unknown: {advice}")
        elif details["type"] == "missing":
            yield checks.Fault(checks.join(*sections, last), "is missing: expected it as in profiles/world.yaml")
        else:
            yield checks.Fault(checks.join(*sections, last), f"is {shown(details['input'])}: {_expected(details)}")


def _expected(details: ErrorDetails) -> str:
    """The type, range or choice that an error's value violates."""
    limits = details.get("ctx", {})
    match details["type"]:
        case "value_error":
            return str(limits["error"])
        case "literal_error":
            choices = re.findall(r"'([^']*)'", limits["expected"])
            return f"expected one of {', '.join(choices)}{nearest(details['input'], choices)}"
        case "greater_than_equal":
            return f"expected at least {limits['ge']:g}"
        case "less_than_equal":
            return f"expected at most {limits['le']:.10g}"
        case "greater_than":
            return f"expected more than {limits['gt']:g}"
        case "less_than":
            return f"expected less than {limits['lt']:g}"
        case "too_short" | "too_long":
            bound = "at least" if details["type"] == "too_short" else "at most"
            length = limits["min_length"] if details["type"] == "too_short" else limits["max_length"]
            return f"expected a list of {bound} {length} {'entry' if length == 1 else 'entries'}"
        case kind:
            return f"expected {_TYPES.get(kind, details['msg'])}"


_TYPES = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "a text",
    "string_unicode": "a text",
    "list_type": "a list",
    "dict_type": "a section",
    "model_type": "a section",
    "model_attributes_type": "a section",
    "invalid_key": "a key that is a text",
}


def _section(path: list[str | int]) -> type[Section]:
    """The class of the section at a path; keys that the user chooses lead into the class of their values."""
    section = Parameters
    for step in path:
        if step in section.model_fields:
            section = next(_sections(section.model_fields[step].annotation), section)
    return section


def _sections(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)

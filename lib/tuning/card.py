"""README.md of a tuned model: what it gained, how to load it, how it was trained."""

from collections.abc import Mapping

import pandas as pd

from clip360.finetune.files import METHOD_FILE
from clip360.finetune.methods import find_method
from clip360.finetune.model_card import settings_rows
from clip360.finetune.run import Recipe
from clip360.tuning.evaluation import EMBEDDING_INSTABILITY, INSTABILITY, MEASURES

CARD = """---
library_name: open_clip
pipeline_tag: zero-shot-image-classification
base_model: {model}
tags: [clip, 360-degree panoramas]
---

# {name}

The CLIP model `{model}`, tuned by the method `{method}` of clip360 to embed a 360-degree panorama and its circular shifts alike. The
method trains {trains}. On {n_validation} panoramas that it was not trained on:

| measure | before | after | change |
|:--|--:|--:|--:|
{results}

Brackets hold {level:g} % bootstrap intervals over these panoramas. Instability is the standard deviation over shifts, in units of that
between panoramas, at shifts by 1/32, 5/32, ..., 29/32 of the width, which no method averages; its change is a ratio, that of R@1 a difference.
Before is the base model under the same view, {view}.

## Use

As any model of open_clip. Its transform shows every image under the view {view}.

```python
import open_clip

model, _, preprocess = open_clip.create_model_and_transforms("local-dir:{name}")  # or hf-hub:ORGANISATION/NAME, once uploaded
tokenizer = open_clip.get_tokenizer("local-dir:{name}")
```

`clip360 score PANORAMAS --model {name} --view own` scores panoramas with it. `adapter/` holds only what was trained, for its base model:
{adapter}

## Training

`adapter/{method_file}` says the same for programs, `log.csv` holds every step.

| | |
|:--|:--|
{rows}

The licence of the base model's weights holds for these too.
"""

LORA = """LoRA adapters in PEFT's format, on attention whose projections are modules of their own.

```python
from clip360.finetune.attention import separate_attention
from peft import PeftModel

separate_attention(frozen.visual)  # not for the method lora_as_released; frozen is the base model, as open_clip loads it
frozen.visual = PeftModel.from_pretrained(frozen.visual, "{name}/adapter")
```"""
WEIGHTS = (
    "tensors by parameter name in `trained.safetensors`, which `clip360.finetune.methods.load_finetuned` puts into it."
)


def tuned_model_card(
    name: str,
    *,
    model: str,
    recipe: Recipe,
    view: str,
    image_set: str,
    n_images: int,
    n_validation: int,
    comparison: pd.DataFrame,
    alpha: float,
    metrics: Mapping[str, float],
) -> str:
    """The card of a model tuned on ``n_images`` panoramas of ``image_set``.

    ``comparison`` as by ``evaluation.compare``, with intervals at the level 1 - ``alpha``; ``metrics`` are those of the last step.
    """
    method = find_method(recipe.method)
    rows = settings_rows(
        recipe.method,
        lam=recipe.lam,
        shift_range=recipe.shift_range,
        view=view,
        image_set=image_set,
        n_images=n_images,
        lora=recipe.lora,
        optimisation=recipe.optimisation,
        metrics=metrics,
    )
    return CARD.format(
        name=name,
        model=model,
        method=recipe.method,
        trains=method.trains,
        n_validation=n_validation,
        results=result_rows(comparison),
        level=100 * (1 - alpha),
        view=view,
        adapter=(LORA if method.is_lora else WEIGHTS).format(name=name),
        method_file=METHOD_FILE,
        rows=rows,
    )


def result_rows(comparison: pd.DataFrame) -> str:
    """The rows of the table of results, in words."""
    return "\n".join(
        f"| {MEASURES[row.measure]} | {_estimate(row, 'before')} | {_estimate(row, 'after')} | {_change(row)} |"
        for row in comparison.itertuples()
    )


def _change(row) -> str:
    ratio = row.measure in (INSTABILITY, EMBEDDING_INSTABILITY)
    return f"{'×' if ratio else ''}{_estimate(row, 'change', '' if ratio else '+')}"


def _estimate(row, name: str, sign: str = "") -> str:
    value, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
    return f"{value:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"

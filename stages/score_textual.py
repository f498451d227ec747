"""Score one image set by one model with format cues and generic cues, on panoramas and on their perspective views.

    python -m stages.score_textual MODEL IMAGE_SET

Writes results/PROFILE/scores/textual/MODEL__IMAGE_SET.parquet.
"""

import sys
from pathlib import Path

from lib.embedding import embed_images, perspective_view, truncated
from lib.imageset import load_image_set
from lib.models import load_clip
from lib.prompts import prompt
from lib.scoring import textual_scores
from stages.parameters import read_params


def main(model: str, image_set: str) -> None:
    params = read_params()
    probe = params["textual_probe"]
    if model not in params["models"]:
        raise ValueError(f"there is no model {model} in params.yaml: choose one of {', '.join(params['models'])}")
    clip = load_clip(model, **params["models"][model])
    pictures = load_image_set(Path("data", image_set))
    if "cue" not in pictures.table:
        raise ValueError(f"{pictures.folder / 'captions.csv'} has no column cue: name each picture's format there")
    texts = [prompt(cue, caption) for cue, caption in zip(pictures.table.cue, pictures.table.caption, strict=True)]
    if cut := truncated(clip, texts):
        print(
            f"{model} reads only the beginning of {len(cut)} texts of {image_set}, such as: {cut[0]}", file=sys.stderr
        )

    views = {"panorama": lambda panoramas: panoramas, "perspective": perspective_view(**probe["control"])}
    embeddings = embed_images(clip, pictures.batches(probe["batch"]), views, total=len(pictures.table))
    scores = textual_scores(clip, pictures.table, embeddings, probe["generic"], image_set=image_set)
    path = Path("results", params["profile"], "scores", "textual", f"{model}__{image_set}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    scores.to_parquet(path, index=False)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (ValueError, FileNotFoundError) as error:
        sys.exit(str(error))

"""Score one image set by one model with format cues and generic cues, on panoramas and on their perspective views.

    python -m stages.score_textual MODEL IMAGE_SET

Writes results/PROFILE/scores/textual/MODEL__IMAGE_SET.parquet.
"""

import sys
from pathlib import Path

from lib.embedding import embed_images
from lib.scoring import textual_scores
from lib.views import perspective_view
from stages.inputs import read_image_set, read_model
from stages.parameters import read_params, tell


def main(model: str, image_set: str) -> None:
    params = read_params()
    probe = params["textual_probe"]
    clip = read_model(params, model)
    pictures = read_image_set(params, image_set, clip)
    views = {"panorama": lambda panoramas: panoramas, "perspective": perspective_view(**probe["control"])}
    embeddings = embed_images(clip, pictures.batches(params["compute"]["batch"]), views, total=len(pictures.table))
    scores = textual_scores(clip, pictures.table, embeddings, probe["generic"], image_set=image_set)
    path = Path("results", params["profile"], "scores", "textual", f"{model}__{image_set}.parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    scores.to_parquet(path, index=False)


if __name__ == "__main__":
    tell(main, *sys.argv[1:])

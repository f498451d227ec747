"""The fine-tuning loop, under accelerate: one process or several, killed and continued, the same weights."""

import hashlib
import math
import os
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator, DataLoaderConfiguration
from peft import PeftModel, get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from tqdm import tqdm

from lib.finetune.data import ShiftedPanoramas, epoch_seed
from lib.finetune.losses import shift_loss
from lib.models import Clip
from lib.pretrain import plain_attention
from lib.scoring import clip_score

MIXED_PRECISION = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}  # as accelerate calls them
Log = Callable[[dict[str, float]], None]


@torch.no_grad()
def frozen_scores(clip: Clip, panoramas: ShiftedPanoramas, texts: Tensor, *, batch: int = 64) -> Tensor:
    """Scores [N] of the panoramas with their texts (unit embeddings [N, D]) as the model is now."""
    with clip.autocast():
        seen = [clip.network.encode_image(part.to(clip.device)).float().cpu() for part in panoramas.inputs.split(batch)]
    return clip_score(torch.cat(seen), texts)


def fine_tune(
    clip: Clip,
    panoramas: ShiftedPanoramas,
    texts: Tensor,
    frozen: Tensor,
    *,
    weight: float,
    shifts: tuple[float, float],
    epochs: int,
    batch: int,
    rate: float,
    weight_decay: float,
    clip_norm: float,
    seed: int,
    checkpoints: Path,
    log: Log,
) -> None:
    """Train the adapters of a model in place (arXiv 2604.24642): ``losses.shift_loss`` of random shifts, AdamW, no schedule.

    ``texts`` [N, D] are the text embeddings, ``frozen`` [N] the scores of the frozen model; ``weight`` is λ. After every
    epoch the state goes to a file in ``checkpoints``, named after all that determines it; a run that finds its file goes on
    from there. ``log`` gets a row for every step, also for the steps of an earlier run that was continued. Raises
    ValueError for a λ outside 0 ... 1 and where the loss is no longer a number.
    """
    if not 0 <= weight <= 1:
        raise ValueError(f"lambda is {weight}: expected a number between 0 and 1")
    accelerator = Accelerator(
        cpu=clip.device.type == "cpu",
        mixed_precision=MIXED_PRECISION[clip.protocol.precision],
        dataloader_config=DataLoaderConfiguration(split_batches=True),
    )
    learning = [parameter for parameter in clip.network.visual.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(learning, lr=rate, weight_decay=weight_decay)
    clip.network.to(accelerator.device)
    tower, optimiser = accelerator.prepare(clip.network.visual, optimiser)
    settings = (weight, tuple(shifts), epochs, batch, rate, weight_decay, clip_norm, seed)
    checkpoint = _Checkpoint(checkpoints, settings, frozen, accelerator.unwrap_model(tower), optimiser)

    history = checkpoint.load()
    for row in history:
        log(row)
    per_epoch = math.ceil(len(panoramas) / batch)
    done = len(history) // per_epoch
    with torch.random.fork_rng(), plain_attention(clip.device):
        for epoch in tqdm(range(done, epochs), initial=done, total=epochs, desc="fine-tune"):
            torch.manual_seed(epoch_seed(seed, epoch))  # of the dropout
            items = panoramas.draw(shifts, seed=seed, epoch=epoch)
            loader = accelerator.prepare(DataLoader(panoramas, sampler=items, batch_size=batch))
            tower.train()
            for rows, inputs, shifted in loader:
                seen = F.normalize(tower(torch.cat([shifted, inputs])), dim=-1)
                read = texts[rows.cpu()].to(seen.device).repeat(2, 1)
                s_shift, s = clip_score(seen, read).chunk(2)
                loss, consistency, anchor = shift_loss(s_shift, s, frozen[rows.cpu()].to(seen.device), weight=weight)
                if not loss.isfinite():
                    raise ValueError(f"the loss is {loss.item()} in epoch {epoch}: lower `rate` ({rate})")
                accelerator.backward(loss)
                norm = accelerator.clip_grad_norm_(learning, clip_norm)
                optimiser.step()
                optimiser.zero_grad()
                loss, consistency, anchor = accelerator.reduce(
                    torch.stack([loss, consistency, anchor]), "mean"
                ).tolist()
                row = {"loss": loss, "consistency": consistency, "anchor": anchor, "gradient_norm": norm.item()}
                history.append(row)
                log(row)
            if accelerator.is_main_process:
                checkpoint.save(history)
    clip.network.visual = accelerator.unwrap_model(tower)
    clip.network.eval()
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        checkpoint.remove()


class _Checkpoint:
    """The state after an epoch, in a file named after what determines it: settings, data and first weights."""

    def __init__(self, folder: Path, settings: tuple, frozen: Tensor, tower: PeftModel, optimiser: Optimizer):
        first = get_peft_model_state_dict(tower)
        digest = hashlib.sha256(repr(settings).encode() + frozen.numpy().tobytes())
        for name in sorted(first):
            digest.update(first[name].detach().cpu().numpy().tobytes())
        self.path = folder / f"{digest.hexdigest()[:16]}.pt"
        self.tower, self.optimiser = tower, optimiser

    def load(self) -> list[dict[str, float]]:
        """Put adapters and optimiser back as they were saved, if they were; the steps taken so far."""
        if not self.path.is_file():
            return []
        state = torch.load(self.path, weights_only=True)
        set_peft_model_state_dict(self.tower, state["adapter"])
        self.optimiser.load_state_dict(state["optimiser"])
        return state["history"]

    def save(self, history: list[dict[str, float]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        adapter = get_peft_model_state_dict(self.tower)
        torch.save({"adapter": adapter, "optimiser": self.optimiser.state_dict(), "history": history}, partial)
        os.replace(partial, self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

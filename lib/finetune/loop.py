"""The fine-tuning loop, under accelerate: one process or several, killed and continued, the same weights."""

import hashlib
import math
import os
from collections.abc import Callable
from pathlib import Path

import torch
from accelerate import Accelerator, DataLoaderConfiguration, DistributedDataParallelKwargs
from torch.optim import Optimizer
from torch.utils.data import DataLoader
from tqdm import tqdm

from clip360.finetune.data import epoch_seed
from clip360.finetune.methods import trained
from clip360.finetune.objectives import Objective
from clip360.models.clip import UNREADABLE, Clip, reason
from clip360.models.pretraining import MAX_LOGIT_SCALE, plain_attention

MIXED_PRECISION = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}  # as accelerate calls them
Log = Callable[[dict[str, float]], None]


def fine_tune(
    clip: Clip,
    objective: Objective,
    *,
    epochs: int,
    batch: int,
    rate: float,
    weight_decay: float,
    clip_norm: float,
    seed: int,
    checkpoints: Path,
    log: Log,
) -> None:
    """Train those weights of a model that want a gradient, in place, by an objective: AdamW, no schedule.

    After every epoch the state goes to a file in ``checkpoints``, named after all that determines it; a run that finds its
    file goes on from there. ``log`` gets a row for every step, also for the steps of an earlier run that was continued.
    Several processes share each batch, and learn what one would but for dropout, and for objectives that compare the pictures
    of a batch with each other. Raises ValueError where the loss is no longer a number.
    """
    accelerator = Accelerator(
        cpu=clip.device.type == "cpu",
        mixed_precision=MIXED_PRECISION[clip.protocol.precision],
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        # Of the released targets most adapters get no gradient, for which other processes would wait.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    panoramas = objective.panoramas
    if accelerator.num_processes > 1 and len(panoramas) % batch:
        raise ValueError(
            f"{len(panoramas)} panoramas are no multiple of `batch` ({batch}), so several processes would see some of them "
            "twice: choose a batch that divides them"
        )
    learning = list(trained(clip).values())
    optimiser = torch.optim.AdamW(learning, lr=rate, weight_decay=weight_decay)
    clip.network.to(accelerator.device)
    settings = (type(objective).__name__, objective.weight, objective.shifts, objective.views, objective.worst)
    settings += (epochs, batch, rate, weight_decay, clip_norm, seed)
    checkpoint = _Checkpoint(checkpoints, settings, objective, clip, optimiser)
    network, optimiser = accelerator.prepare(clip.network, optimiser)

    history = checkpoint.load()
    for row in history:
        log(row)
    done = len(history) // math.ceil(len(panoramas) / batch)
    with torch.random.fork_rng(), plain_attention(clip.device):
        for epoch in tqdm(range(done, epochs), initial=done, total=epochs, desc="fine-tune"):
            torch.manual_seed(epoch_seed(seed, epoch))  # of the dropout
            clip.network.eval()
            items = objective.items(clip, seed=seed, epoch=epoch)
            loader = accelerator.prepare(DataLoader(panoramas, sampler=items, batch_size=batch))
            network.train()
            for pair in loader:
                losses = objective.losses(network, pair)
                if not losses["loss"].isfinite():
                    raise ValueError(f"the loss is {losses['loss'].item()} in epoch {epoch}: lower `rate` ({rate})")
                accelerator.backward(losses["loss"])
                norm = accelerator.clip_grad_norm_(learning, clip_norm)
                optimiser.step()
                optimiser.zero_grad()
                if clip.network.logit_scale.requires_grad:
                    clip.network.logit_scale.data.clamp_(max=MAX_LOGIT_SCALE)
                means = accelerator.reduce(torch.stack(list(losses.values())), "mean").tolist()
                row = dict(zip(losses, means, strict=True)) | {"gradient_norm": norm.item()}
                history.append(row)
                log(row)
            if accelerator.is_main_process:
                checkpoint.save(history)
    accelerator.unwrap_model(network, keep_fp32_wrapper=False).eval()
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        checkpoint.remove()


class _Checkpoint:
    """The state after an epoch, in a file named after what determines it: settings, data and first weights."""

    def __init__(self, folder: Path, settings: tuple, objective: Objective, clip: Clip, optimiser: Optimizer):
        self.weights, self.optimiser, self.objective = trained(clip), optimiser, objective
        digest = hashlib.sha256(repr(settings).encode())
        for known in (objective.kept, self.weights):
            for name in sorted(known):
                digest.update(name.encode() + known[name].detach().cpu().numpy().tobytes())
        self.path = folder / f"{digest.hexdigest()[:16]}.pt"

    def load(self) -> list[dict[str, float]]:
        """Put weights and optimiser back as they were saved, if they were; the steps taken so far."""
        if not self.path.is_file():
            return []
        try:
            state = torch.load(self.path, weights_only=True)
            with torch.no_grad():
                for name, weight in self.weights.items():
                    weight.copy_(state["weights"][name])
            self.optimiser.load_state_dict(state["optimiser"])
            self.objective.looks = state["looks"]
            return state["history"]
        except UNREADABLE as error:
            raise ValueError(f"{self.path} is no checkpoint of this run ({reason(error)}): remove it") from error

    def save(self, history: list[dict[str, float]]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        state = {"weights": self.weights, "optimiser": self.optimiser.state_dict(), "history": history}
        torch.save(state | {"looks": self.objective.looks}, partial)
        os.replace(partial, self.path)

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)

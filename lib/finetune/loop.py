"""The fine-tuning loop, by accelerate: one process or several, interrupted and continued or not, it gives the same weights."""

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
from clip360.finetune.methods import trained_weights
from clip360.finetune.objectives import Objective
from clip360.models.clip import UNREADABLE, Clip, reason
from clip360.models.pretraining import MAX_LOGIT_SCALE, plain_attention

MIXED_PRECISION = {"float32": "no", "bfloat16": "bf16"}  # names of accelerate, by the protocol's training_precision
Log = Callable[[dict[str, float]], None]


def fine_tune(
    clip: Clip,
    objective: Objective,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    weight_decay: float,
    max_grad_norm: float,
    seed: int,
    checkpoints: Path,
    log: Log,
) -> None:
    """Train in place those weights of a model that require a gradient, by an objective: AdamW at a constant rate ``lr``.

    Weights are float32 throughout. Where the protocol's precision is ``bfloat16``, the forward pass runs under bfloat16
    autocast. Where it is ``float16``, training runs in float32 without autocast, as the paper's released training does: the
    texts that it compares images with are float32 too, and only the frozen scores, and what other methods embed without a
    gradient, are computed in float16.

    After every epoch the state goes to a file in ``checkpoints`` whose name is a digest of all that determines it; a run
    that finds its file continues from there. ``log`` gets one row for every step, also for the steps before a
    continuation. Several processes share each batch, and reach the weights of one process except for dropout, and for
    objectives that compare the images of a batch with each other. Raises ValueError where the loss is not finite, where
    several processes do not divide the panoramas evenly, and where a checkpoint is damaged.
    """
    accelerator = Accelerator(
        cpu=clip.device.type == "cpu",
        mixed_precision=MIXED_PRECISION[clip.protocol.training_precision],
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        # With the released targets most adapters get no gradient, and processes would wait for theirs.
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    panoramas = objective.panoramas
    if accelerator.num_processes > 1 and len(panoramas) % batch_size:
        raise ValueError(
            f"{len(panoramas)} panoramas are no multiple of `batch_size` ({batch_size}), so that several processes would"
            " train on some of them twice: choose a batch size that divides their number"
        )
    parameters = list(trained_weights(clip).values())
    optimiser = torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)
    clip.network.to(accelerator.device)
    settings = (type(objective).__name__, objective.lam, objective.shift_range, objective.n_shifts, objective.n_worst)
    settings += (objective.clamp_at_zero, accelerator.mixed_precision)
    settings += (epochs, batch_size, lr, weight_decay, max_grad_norm, seed)
    checkpoint = Checkpoint(checkpoints, settings, objective, clip, optimiser)
    network, optimiser = accelerator.prepare(clip.network, optimiser)

    history = checkpoint.load()
    for row in history:
        log(row)
    epochs_done = len(history) // math.ceil(len(panoramas) / batch_size)
    with torch.random.fork_rng(), plain_attention(clip.device):
        for epoch in tqdm(range(epochs_done, epochs), initial=epochs_done, total=epochs, desc="fine-tune"):
            torch.manual_seed(epoch_seed(seed, epoch))  # for dropout
            clip.network.eval()
            items = objective.items(clip, seed=seed, epoch=epoch)
            loader = accelerator.prepare(DataLoader(panoramas, sampler=items, batch_size=batch_size))
            network.train()
            for pair in loader:
                losses = objective.losses(network, pair)
                if not losses["loss"].isfinite():
                    raise ValueError(f"the loss is {losses['loss'].item()} in epoch {epoch}: lower `lr` ({lr})")
                accelerator.backward(losses["loss"])
                gradient_norm = accelerator.clip_grad_norm_(parameters, max_grad_norm)
                optimiser.step()
                optimiser.zero_grad()
                if clip.network.logit_scale.requires_grad:
                    clip.network.logit_scale.data.clamp_(max=MAX_LOGIT_SCALE)
                means = accelerator.reduce(torch.stack(list(losses.values())), "mean").tolist()
                row = dict(zip(losses, means, strict=True)) | {"gradient_norm": gradient_norm.item()}
                history.append(row)
                log(row)
            if accelerator.is_main_process:
                checkpoint.save(history)
    accelerator.unwrap_model(network, keep_fp32_wrapper=False).eval()
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        checkpoint.remove()


class Checkpoint:
    """The state after an epoch, in a file named after what determines it: settings, data and initial weights."""

    def __init__(self, folder: Path, settings: tuple, objective: Objective, clip: Clip, optimiser: Optimizer):
        self.weights, self.optimiser, self.objective = trained_weights(clip), optimiser, objective
        digest = hashlib.sha256(repr(settings).encode())
        for tensors in (objective.reference, self.weights):
            for name in sorted(tensors):
                digest.update(name.encode() + tensors[name].detach().cpu().numpy().tobytes())
        self.path = folder / f"{digest.hexdigest()[:16]}.pt"

    def load(self) -> list[dict[str, float]]:
        """Restore weights, optimiser and counts, if the file exists; the rows logged so far, none if it does not.

        Raises ValueError where the file is no checkpoint of this run.
        """
        if not self.path.is_file():
            return []
        try:
            state = torch.load(self.path, weights_only=True)
            with torch.no_grad():
                for name, weight in self.weights.items():
                    weight.copy_(state["weights"][name])
            self.optimiser.load_state_dict(state["optimiser"])
            self.objective.images_without_gradient = state["images_without_gradient"]
            return state["history"]
        except UNREADABLE as error:
            raise ValueError(f"{self.path} is no checkpoint of this run ({reason(error)}): remove it") from error

    def save(self, history: list[dict[str, float]]) -> None:
        """Write the state, in place of the last one once it is complete."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        state = {
            "weights": self.weights,
            "optimiser": self.optimiser.state_dict(),
            "history": history,
            "images_without_gradient": self.objective.images_without_gradient,
        }
        torch.save(state, partial)
        os.replace(partial, self.path)

    def remove(self) -> None:
        """Remove the file, if there is one."""
        self.path.unlink(missing_ok=True)

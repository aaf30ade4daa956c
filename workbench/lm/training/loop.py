"""The training run: batches, updates, the log, and checkpoints that a later run goes on from."""

import csv
import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import final

import numpy as np
import torch
from jaxtyping import Float32, UInt16
from torch.nn import functional

from workbench.errors import WorkbenchError
from workbench.formats import open_safetensors, write_safetensors
from workbench.formats.writing import replacing
from workbench.lm.training.network import forward, initial_weights
from workbench.lm.training.plan import Plan

LONGEST_GRADIENT = 1.0
BETAS = (0.9, 0.95)
MOMENTS = ("exp_avg", "exp_avg_sq")  # what AdamW keeps of each weight


@final
class Run:
    """A model in training, with everything that its next update depends on.

    Parameters
    ----------
    plan : Plan
    training, held_out : uint16 arrays
        Token ids.

    Attributes
    ----------
    step : int
        Updates done.
    cpu_s : float
        Processor time that they took, evaluations included, over all sittings.
    log : list of dict
        A row an evaluation.
    """

    def __init__(
        self, plan: Plan, training: UInt16[np.ndarray, " n"], held_out: UInt16[np.ndarray, " m"]
    ):
        if len(training) <= plan.batch * plan.context + 1:
            raise WorkbenchError(
                f"the text has {len(training)} tokens to train on, but an update takes "
                f"{plan.batch} × {plan.context}"
            )
        self.plan, self.training, self.held_out = plan, training, held_out
        self.step, self.cpu_s, self.log = 0, 0.0, []
        self.weights = initial_weights(plan.config, plan.seed)
        matrices = [w for name, w in self.weights.items() if w.ndim == 2 and "blk." in name]
        others = [w for name, w in self.weights.items() if w.ndim == 1 or "blk." not in name]
        groups = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, betas=BETAS, fused=True)
        self._losses: list[float] = []

    def advance(self) -> None:
        """One update, and its processor time."""
        started = time.process_time()
        for group in self.optimizer.param_groups:
            group["lr"] = self.plan.rate_at(self.step)
        self.optimizer.param_groups[0]["weight_decay"] = self.plan.decay_at(self.step)
        loss = self._loss(self._batch())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.weights.values(), LONGEST_GRADIENT)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._losses.append(loss.item() / (self.plan.batch * self.plan.context))
        self.step += 1
        self.cpu_s += time.process_time() - started

    def evaluate(self) -> float:
        """Mean loss of the held-out tokens in nats; adds a row to the log."""
        started = time.process_time()
        with torch.no_grad():
            total = sum(self._loss(batch).item() for batch in self._held_out_batches())
        loss = total / (len(self.held_out) - 1)
        self.cpu_s += time.process_time() - started
        self.log.append(
            {
                "step": self.step,
                "tokens": self.step * self.plan.batch * self.plan.context,
                "cpu_s": round(self.cpu_s, 1),
                "learning_rate": round(self.plan.rate_at(max(self.step - 1, 0)), 7),
                "training_loss": round(float(np.mean(self._losses)), 4) if self._losses else None,
                "held_out_loss": round(loss, 4),
                "held_out_perplexity": round(float(np.exp(loss)), 3),
            }
        )
        self._losses.clear()
        return loss

    def arrays(self) -> dict[str, Float32[np.ndarray, "..."]]:
        """The weights as NumPy arrays, before any rounding."""
        return {name: weight.detach().numpy() for name, weight in self.weights.items()}

    def save(self, path: Path) -> None:
        """A checkpoint, whole or not at all."""
        tensors = dict(self.arrays())
        for name, weight in self.weights.items():
            state = self.optimizer.state[weight]
            tensors |= {f"{name}:{moment}": state[moment].numpy() for moment in MOMENTS}
        state = {"step": self.step, "cpu_s": self.cpu_s, "log": self.log, "losses": self._losses}
        about = {"plan": asdict(self.plan), "text": self._text_hash(), "state": state}
        write_safetensors(path, tensors, {key: json.dumps(about[key]) for key in about})

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same plan and text.

        Raises
        ------
        WorkbenchError
            It is of another plan or another text, or no checkpoint.
        """
        file = open_safetensors(path)
        if not {"plan", "text", "state"} <= set(file.metadata):
            raise WorkbenchError(f"{path} is no checkpoint of a training course")
        about = {key: json.loads(file.metadata[key]) for key in ("plan", "text", "state")}
        if different := self.plan.differences(about["plan"]):
            name = different[0]
            raise WorkbenchError(
                f"{path} was trained with {name}={about['plan'].get(name)!r}, not "
                f"{getattr(self.plan, name)!r}; choose another --output for another plan"
            )
        if about["text"] != self._text_hash():
            raise WorkbenchError(f"{path} was trained on another text; choose another --output")
        step = torch.tensor(float(about["state"]["step"]))
        for name, weight in self.weights.items():
            weight.data.copy_(torch.from_numpy(file[name].read()))
            moments = {m: torch.from_numpy(file[f"{name}:{m}"].read()) for m in MOMENTS}
            self.optimizer.state[weight] = {"step": step.clone(), **moments}
        self.step, self.cpu_s = about["state"]["step"], about["state"]["cpu_s"]
        self.log, self._losses = about["state"]["log"], about["state"]["losses"]

    def write_log(self, path: Path) -> None:
        """The log as CSV."""
        with replacing(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self.log[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.log)

    def _batch(self) -> torch.Tensor:
        """Tokens (batch, context + 1) of this update.

        Decided by seed and step alone. In an epoch every window of the text comes once, in an
        order of its own and cut at places of its own.
        """
        plan = self.plan
        per_epoch = (len(self.training) - 1 - plan.context) // plan.context // plan.batch
        epoch, turn = divmod(self.step, max(per_epoch, 1))
        rng = np.random.default_rng([plan.seed, epoch])
        offset = rng.integers(plan.context)
        windows = rng.permutation((len(self.training) - 1 - offset) // plan.context)
        chosen = windows[turn * plan.batch : (turn + 1) * plan.batch]
        starts = offset + chosen[:, None] * plan.context
        return torch.from_numpy(
            self.training[starts + np.arange(plan.context + 1)].astype(np.int64)
        )

    def _held_out_batches(self) -> Iterator[torch.Tensor]:
        """Every held-out token but the first as a target, once, in windows of the context."""
        size, tokens = self.plan.context, self.held_out.astype(np.int64)
        whole = (len(tokens) - 1) // size
        starts = np.arange(whole)[:, None] * size
        windows = tokens[starts + np.arange(size + 1)]
        for first in range(0, whole, self.plan.batch):
            yield torch.from_numpy(windows[first : first + self.plan.batch])
        if whole * size < len(tokens) - 1:
            yield torch.from_numpy(tokens[None, whole * size :])

    def _loss(self, tokens: torch.Tensor) -> torch.Tensor:
        """Summed over the batch, in nats."""
        ternary = self.plan.weights == "ternary"
        logits = forward(self.weights, tokens[:, :-1], self.plan.config, ternary)
        return functional.cross_entropy(
            logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="sum"
        )

    def _text_hash(self) -> str:
        return sha256(self.training.tobytes() + self.held_out.tobytes()).hexdigest()


def use_threads(threads: int) -> None:
    """As many threads as asked for, and only algorithms whose result never varies."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # shares of attention become so small that the processor slows down; 0 changes no weight
    torch.set_flush_denormal(True)

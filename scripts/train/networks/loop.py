"""The training loop that all networks share: schedule, moving average, checkpoints, resuming, worker processes."""

import copy
import math
import multiprocessing
import time

import numpy as np
import torch

from . import settings


class Task:
    """What one network adds to the loop."""

    #: Highest learning rate of a parameter group that names none.
    rate = 2e-3
    #: Share of the run at the highest rate, after which it falls along a cosine.
    flat = 0.3
    clip = 5.0
    average = 0.998
    decay = 2e-4
    betas = (0.9, 0.99)

    def model(self) -> torch.nn.Module:
        """The untrained network."""
        raise NotImplementedError

    def groups(self, model: torch.nn.Module) -> list[dict]:
        """Parameter groups: matrices decay, vectors do not."""
        big = [p for p in model.parameters() if p.ndim > 1]
        small = [p for p in model.parameters() if p.ndim <= 1]
        return [dict(params=big, weight_decay=self.decay), dict(params=small, weight_decay=0.0)]

    def parts(self, model: torch.nn.Module) -> list[torch.nn.Module]:
        """Parts whose gradients are limited apart from each other."""
        return [model]

    def batch(self, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """One batch of samples."""
        raise NotImplementedError

    def loss(self, model, batch: dict[str, torch.Tensor], progress: float):
        """The loss and numbers to print."""
        raise NotImplementedError


def checkpoint_path(name: str):
    """Where a run's state is kept."""
    return settings.CACHE / "runs" / f"{name}.pt"


def restored(model: torch.nn.Module, kept: dict) -> torch.nn.Module:
    """The network with what a checkpoint holds of it."""
    own = model.state_dict()
    model.load_state_dict(own | {k: v for k, v in kept.items() if k in own and v.shape == own[k].shape})
    return model


def resume(optimiser: torch.optim.Optimizer, kept: dict) -> None:
    """Gives an optimiser its state back, as far as the groups are those that it had."""
    now, same = optimiser.state_dict(), 0
    for new, old in zip(now["param_groups"], kept["param_groups"]):
        if len(new["params"]) != len(old["params"]):
            break
        same += len(new["params"])
    optimiser.load_state_dict(now | dict(state={k: v for k, v in kept["state"].items() if k < same}))


def averaged(task: Task, name: str, other: str | None = None) -> torch.nn.Module:
    """The averaged network of a run's last checkpoint, for export; with `other`, the mean of two runs.

    The mean is good only if one run began with the weights of the other.
    """
    def kept(name):
        state = torch.load(checkpoint_path(name), map_location="cpu", weights_only=False)
        return state.get("settled") or state["average"]

    weights = kept(name)
    if other:
        second = kept(other)
        weights = {k: v.lerp(second[k], 0.5) if v.dtype.is_floating_point else v for k, v in weights.items()}
    return restored(task.model(), weights).eval()


def _produce(task: Task, seed: int, queue) -> None:
    settings.one_thread()
    rng = np.random.default_rng(seed)
    while True:
        queue.put(task.batch(rng))


class _Feed:
    """Batches from worker processes, or made here."""

    def __init__(self, task: Task, workers: int, seed: int):
        self.task, self.rng, self.queue = task, np.random.default_rng(seed), None
        if workers:
            context = multiprocessing.get_context("fork")
            self.queue = context.Queue(2 * workers)
            for i in range(workers):
                context.Process(target=_produce, args=(task, seed * 1000 + i, self.queue), daemon=True).start()

    def next(self) -> dict[str, np.ndarray]:
        return self.queue.get() if self.queue else self.task.batch(self.rng)


def run(task: Task, arguments) -> None:
    """Trains until the run has had `arguments.minutes` in all."""
    settings.one_thread()
    settings.keep_memory()
    torch.manual_seed(arguments.seed)
    device = settings.device()
    budget = arguments.minutes * 60
    model = task.model().to(device, memory_format=torch.channels_last)
    average = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(task.groups(model), lr=task.rate, betas=task.betas)
    peaks = [g["lr"] * arguments.rate for g in optimiser.param_groups]
    path, spent, step, seen = checkpoint_path(arguments.name), 0.0, 0, 0
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        state = torch.load(path, map_location=device, weights_only=False)
        restored(model, state["model"])
        restored(average, state["average"])
        resume(optimiser, state["optimiser"])
        spent, step, seen = 0.0 if arguments.fresh else state["spent"], state["step"], state["seen"]
    feed = _Feed(task, arguments.workers, arguments.seed * 7919 + step)
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{arguments.name}: {parameters} parameters on {device}, {spent / 60:.1f} of {budget / 60:.0f} minutes done",
          flush=True)
    start, saved, shown, sums, fresh = time.time() - spent, time.time(), time.time(), {}, 0

    def save():
        part = path.with_suffix(".part")
        torch.save(dict(model=model.state_dict(), average=average.state_dict(), optimiser=optimiser.state_dict(),
                        spent=time.time() - start, step=step, seen=seen, seed=arguments.seed), part)
        part.rename(path)

    while budget and (progress := (time.time() - start) / budget) < 1:
        fall = max(0.0, (progress - task.flat) / (1 - task.flat))
        factor = min(1.0, (fresh + 1) / 60) * (0.5 * (1 + math.cos(math.pi * fall)) * 0.99 + 0.01)
        for group, peak in zip(optimiser.param_groups, peaks):
            group["lr"] = peak * factor
        batch = {k: torch.from_numpy(v).to(device) for k, v in feed.next().items()}
        model.train()
        loss, numbers = task.loss(model, batch, progress)
        optimiser.zero_grad()
        if torch.isfinite(loss):
            loss.backward()
            for part in task.parts(model):
                torch.nn.utils.clip_grad_norm_(part.parameters(), task.clip)
            optimiser.step()
        step, fresh, seen = step + 1, fresh + 1, seen + len(batch["image"])
        keep = min(task.average, (1 + step) / (20 + step))
        with torch.no_grad():
            for a, b in zip(average.state_dict().values(), model.state_dict().values()):
                a.lerp_(b, 1 - keep) if a.dtype.is_floating_point else a.copy_(b)
        for k, v in numbers.items():
            sums[k] = sums.get(k, 0.0) + float(v)
        sums["n"] = sums.get("n", 0) + 1
        if time.time() - shown > 60:
            n = sums.pop("n")
            text = " ".join(f"{k} {v / n:.4f}" for k, v in sums.items())
            print(f"{progress:.3f} step {step} seen {seen} rate {factor:.2f} {text} "
                  f"{1e3 * (time.time() - shown) / max(n, 1):.0f} ms/step", flush=True)
            shown, sums = time.time(), {}
        if time.time() - saved > 240:
            save()
            saved = time.time()
    save()
    print(f"done: {step} steps, {seen} samples", flush=True)

"""AdamW, its warm-up-stable-decay schedule, and the weight average: schedules are pure functions of the step, so resume is exact."""

import torch
from torch import Tensor, nn

from ghostpad.train.parallel import shard_like
from ghostpad.train.settings import TrainSettings


def make_optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.AdamW:
    """AdamW over all trainable weights; weight decay on matrices and kernels, not on biases, norms or scales."""
    trainable = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in trainable if weight.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [weight for weight in trainable if weight.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.lr, betas=(0.9, 0.95))


def learning_rate(step: int, settings: TrainSettings) -> float:
    """The rate of step 0, 1, ...: linear warm-up, constant, linear decay towards 0 over the last `decay_share`."""
    warm = min(1.0, (step + 1) / settings.warmup_steps) if settings.warmup_steps else 1.0
    decay_steps = settings.decay_share * settings.steps
    cool = min(1.0, (settings.steps - step) / decay_steps) if decay_steps > 0 else 1.0
    return settings.lr * warm * cool


class Ema:
    """An exponential average of the trainable weights.

    The decay of step n is min(decay, (1+n)/(10+n)), so that the random start counts little in a short run.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.weights = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Average in the weights after step `step` (0, 1, ...)."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        current = dict(model.named_parameters())
        for name, average in self.weights.items():
            average.lerp_(current[name].detach().to(average.dtype), 1 - decay)

    @torch.no_grad()
    def swap(self, model: nn.Module) -> None:
        """Exchange the averaged weights and the model's own; a second call undoes it."""
        for name, weight in model.named_parameters():
            if name in self.weights:
                own = weight.detach().clone()
                weight.copy_(self.weights[name])
                self.weights[name].copy_(own)

    def load(self, weights: dict[str, Tensor]) -> None:
        """Take the average, whole, as an earlier process saved it."""
        for name, value in weights.items():
            self.weights[name].copy_(shard_like(value, self.weights[name]))

    def state(self, model: nn.Module) -> dict[str, Tensor]:
        """The model's state dict with averaged weights."""
        return {name: self.weights.get(name, value) for name, value in model.state_dict().items()}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as named tensors (`<weight number>.<name>`), ready for safetensors."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": torch.as_tensor(value) for index, values in state.items() for name, value in values.items()}


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Take the state that `optimizer_tensors` gave, whole, sharded as the weights are."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        state.setdefault(int(index), {})[name] = value if name == "step" else shard_like(value, weights[int(index)])
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})

"""The training script's own programs against PyTorch's loops, on the CPU.

    python -m benchmarks.training

Exits 1 if a claim does not hold. All candidates train the same model from the same parameters on
the same batches with Adam, which is checked first. A call is some updates: one compiled call in
JAX.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its users' name

from benchmarks._timing import format_seconds, print_table, time_interleaved
from comparisons.cases.training import models
from comparisons.cases.training._layout import to_flax
from functional_ad.training import Config
from functional_ad.training._data import load_data
from functional_ad.training._interval import build_interval
from functional_ad.training._plan import Plan
from functional_ad.training._state import init_state
from functional_ad.training._task import build_task

JAX = "JAX, the script's interval"
EAGER = "PyTorch, eager"
FUSED = "PyTorch, eager, fused Adam"
COMPILED = "PyTorch, torch.compile, fused Adam"
RATE = 1e-3
ROUNDS = 9
# Adam's first steps are the gradients' signs: a rounding where one is nearly 0 is a whole step, so
# losses agree to what some such parameters make of it.
LOSSES_AGREE = 2e-3


@dataclasses.dataclass(frozen=True)
class Setting:
    """A model, how it is trained, and what is claimed of it.

    Attributes:
        fields: Of the script's configuration.
        module: Makes PyTorch's model.
        updates: How many updates a call makes.
        over_eager: How many times as fast as eager PyTorch it must be.
        over_compile: And as torch.compile.
        share: Which share of the speed of its own matrix products it must reach; None for no claim.
    """

    fields: Mapping[str, Any]
    module: Callable[[], torch.nn.Module]
    updates: int
    over_eager: float
    over_compile: float
    share: float | None = None


SETTINGS = {
    "mlp": Setting(
        {"layers": 2, "hidden": 256, "batch_size": 128},
        lambda: models.MLP(256, 2),
        11,
        2.0,
        1.5,
        0.7,
    ),
    "cnn": Setting(
        {"channels": 16, "hidden": 64, "batch_size": 64},
        lambda: models.CNN(16, 64),
        8,
        1.5,
        1.1,
    ),
    "transformer": Setting(
        {"context": 64, "width": 64, "heads": 4, "hidden": 256, "layers": 2, "batch_size": 16},
        lambda: models.Transformer(64, 64, 4, 256, 2),
        4,
        1.5,
        1.1,
    ),
}


class JaxRun:
    """The script's interval, from PyTorch's parameters.

    Attributes:
        seconds_to_compile: How long tracing and compiling took.
        losses: Of the last call.
    """

    def __init__(self, name: str, setting: Setting, module: torch.nn.Module) -> None:
        config = Config.for_model(
            name, optimizer="adam", learning_rate=RATE, log_every=setting.updates, **setting.fields
        )
        task, train = (
            build_task(config, setting.updates),
            load_data(config.data, config.context).train,
        )
        count = setting.updates * config.batch_size
        self.examples = type(train)(*(None if x is None else jnp.asarray(x[:count]) for x in train))
        self._plan = Plan(
            examples=count, batch_size=config.batch_size, parts=1, epochs=1 << 20, seed=0
        )
        self._updates = setting.updates
        params = to_flax(name, _nest(module))
        made = jax.jit(lambda: init_state(task))()
        like = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), params, made.params)
        self._state, self._call = made._replace(params=like), 0
        started = time.perf_counter()
        self._program = (
            build_interval(task).lower(self._state, self.take(0), self.examples).compile()
        )
        self.seconds_to_compile = time.perf_counter() - started
        self.losses: Any = None

    def take(self, call: int) -> Any:
        """Which examples the updates of a call take."""
        return self._plan.take(call * self._updates, self._updates)

    def __call__(self) -> None:
        """Makes the updates."""
        rows = self.take(self._call)
        self._state, outcome = self._program(self._state, rows, self.examples)
        self._call, self.losses = self._call + 1, outcome.losses
        jax.block_until_ready((self._state.params, outcome.losses))


class TorchRun:
    """PyTorch's loop over the same batches; the attributes are `JaxRun`'s."""

    def __init__(
        self,
        jax_run: JaxRun,
        module: torch.nn.Module,
        *,
        fused: bool = False,
        compiled: bool = False,
    ) -> None:
        self._jax, self._call = jax_run, 0
        self._optimizer = torch.optim.Adam(module.parameters(), lr=RATE, fused=fused)
        x, y, mask = jax_run.examples
        self._x, self._y = torch.tensor(np.asarray(x)), torch.tensor(np.asarray(y)).long()
        self._mask = None if mask is None else torch.tensor(np.asarray(mask))

        def compute_loss(x: torch.Tensor, y: torch.Tensor, mask: Any) -> torch.Tensor:
            outputs = module(x)
            if mask is None:
                return F.cross_entropy(outputs, y)
            losses = F.cross_entropy(outputs.flatten(0, -2), y.flatten(), reduction="none")
            return (losses * mask.flatten()).sum() / mask.sum()

        self._loss = torch.compile(compute_loss) if compiled else compute_loss
        started = time.perf_counter()
        self()
        self.seconds_to_compile = time.perf_counter() - started if compiled else 0.0

    def __call__(self) -> None:
        """Makes the updates."""
        self.losses = []
        for rows in torch.from_numpy(self._jax.take(self._call).positions).long():
            self._optimizer.zero_grad()
            mask = None if self._mask is None else self._mask[rows]
            loss = self._loss(self._x[rows], self._y[rows], mask)
            loss.backward()
            self._optimizer.step()
            self.losses.append(loss.detach())
        self._call += 1


def build_candidates(name: str, *, compiled: bool = True) -> dict[str, Any]:
    """All candidates of a setting, each after its first call, whose losses agree.

    Raises:
        AssertionError: They do not compute the same.
    """
    setting = SETTINGS[name]

    def make() -> torch.nn.Module:
        torch.manual_seed(0)
        return setting.module()

    ours = JaxRun(name, setting, make())
    candidates: dict[str, Any] = {JAX: ours}
    candidates[EAGER] = TorchRun(ours, make())
    candidates[FUSED] = TorchRun(ours, make(), fused=True)
    if compiled:
        candidates[COMPILED] = TorchRun(ours, make(), fused=True, compiled=True)
    ours()
    for label, candidate in candidates.items():
        got = [float(loss) for loss in candidate.losses]
        np.testing.assert_allclose(got, np.asarray(ours.losses), rtol=LOSSES_AGREE, err_msg=label)
    return candidates


def build_products(batch: int, widths: tuple[int, ...]) -> Callable[[], object]:
    """The matrix products of a perceptron's update and nothing else: forward, and two backward."""
    rng = np.random.default_rng(0)
    pairs = list(itertools.pairwise(widths))
    xs = [jnp.asarray(rng.normal(size=(batch, a)), jnp.float32) for a, _ in pairs]
    ws = [jnp.asarray(rng.normal(size=pair), jnp.float32) for pair in pairs]
    gs = [jnp.asarray(rng.normal(size=(batch, b)), jnp.float32) for _, b in pairs]

    @jax.jit
    def multiply(xs: Any, ws: Any, gs: Any) -> Any:
        forward = [x @ w for x, w in zip(xs, ws, strict=True)]
        weights = [x.T @ g for x, g in zip(xs, gs, strict=True)]
        inputs = [g @ w.T for g, w in zip(gs[1:], ws[1:], strict=True)]
        return forward, weights, inputs

    return lambda: jax.block_until_ready(multiply(xs, ws, gs))


def count_product_flops(batch: int, widths: tuple[int, ...]) -> int:
    """Multiplications and additions of those products."""
    pairs = list(itertools.pairwise(widths))
    return sum(2 * batch * a * b * (2 + (i > 0)) for i, (a, b) in enumerate(pairs))


def measure(name: str) -> bool:
    """Times a setting's candidates, prints the table, and says whether its claims hold."""
    setting = SETTINGS[name]
    candidates = build_candidates(name)
    products = "its matrix products alone"
    calls: dict[str, Callable[[], object]] = dict(candidates)
    widths, batch = (64, 256, 256, 10), 128
    if setting.share is not None:
        calls[products] = build_products(batch, widths)
    times = time_interleaved(calls, ROUNDS)
    per_update = {label: times[label] / setting.updates for label in candidates}
    rows = [
        [
            label,
            format_seconds(seconds),
            f"{per_update[label] / per_update[JAX]:.2f} x",
            format_seconds(candidates[label].seconds_to_compile or 0.0),
        ]
        for label, seconds in per_update.items()
    ]
    print_table(
        f"{name}: an update, medians of {ROUNDS} interleaved rounds of {setting.updates} updates "
        f"(jax {jax.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads)",
        ["candidate", "update", "time of JAX's", "to compile"],
        rows,
    )
    claims = {
        f"at least {setting.over_eager} times as fast as eager PyTorch": (
            min(per_update[EAGER], per_update[FUSED]) / per_update[JAX],
            setting.over_eager,
        ),
        f"at least {setting.over_compile} times as fast as torch.compile": (
            per_update[COMPILED] / per_update[JAX],
            setting.over_compile,
        ),
    }
    if setting.share is not None:
        flops = count_product_flops(batch, widths)
        print(
            f"Its products alone: {flops / times[products] / 1e9:.0f} GFLOP/s; in the update "
            f"{flops / per_update[JAX] / 1e9:.0f} GFLOP/s."
        )
        share = times[products] / per_update[JAX]
        claims[f"at least {setting.share:.0%} of the speed of its products"] = share, setting.share
    for claim, (found, wanted) in claims.items():
        verdict = "holds" if found >= wanted else "DOES NOT HOLD"
        print(f"{name}, {claim}: {verdict} ({found:.2f}).")
    return all(found >= wanted for found, wanted in claims.values())


def main(*names: str) -> int:
    """Measures the settings, all by default."""
    with jax.default_device(jax.devices("cpu")[0]):
        held = [measure(name) for name in names or SETTINGS]  # all, whatever the first says
    return 0 if all(held) else 1


def _nest(module: torch.nn.Module) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, parameter in module.named_parameters():
        *parents, last = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = jnp.asarray(parameter.detach().numpy())
    return tree


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

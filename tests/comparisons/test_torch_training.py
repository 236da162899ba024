"""torch_training's step is an ordinary loop's, bit for bit, and refuses what it cannot carry."""

import copy

import pytest
import torch
from torch import nn

import comparisons

OPTIMIZERS = {
    "sgd": lambda params: torch.optim.SGD(params, lr=0.1, weight_decay=0.1),
    "momentum": lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9),
    "nesterov": lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True),
    "dampening": lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9, dampening=0.5),
    "adam": lambda params: torch.optim.Adam(params, lr=0.01, weight_decay=0.1),
    "amsgrad": lambda params: torch.optim.Adam(params, lr=0.01, amsgrad=True),
    "adamw": lambda params: torch.optim.AdamW(params, lr=0.01),
    "rmsprop": lambda params: torch.optim.RMSprop(params, lr=0.01),
    "centered": lambda params: torch.optim.RMSprop(params, lr=0.01, momentum=0.9, centered=True),
    "adagrad": lambda params: torch.optim.Adagrad(params, initial_accumulator_value=0.1),
    "adadelta": lambda params: torch.optim.Adadelta(params),
    "adamax": lambda params: torch.optim.Adamax(params),
    "radam": lambda params: torch.optim.RAdam(params),
    "rprop": lambda params: torch.optim.Rprop(params),
}


def make_module():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))


def loss_fn(module, batch):
    return module(batch).square().mean()


def flatten(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_many_steps_are_those_of_an_ordinary_loop(name, dtype):
    module = make_module().to(dtype)
    state, step = comparisons.torch_training(
        module, lambda module: OPTIMIZERS[name](module.parameters()), loss_fn
    )
    optimizer = OPTIMIZERS[name](module.parameters())
    generator = torch.Generator().manual_seed(1)
    before = copy.deepcopy(module.state_dict())
    for number in range(1, 31):
        batch = torch.randn(8, 3, generator=generator, dtype=dtype)
        optimizer.zero_grad()
        loss = loss_fn(module, batch)
        loss.backward()
        optimizer.step()
        state, aux = step(state, batch)
        assert torch.equal(aux["loss"], loss.detach())
        carried = dict(flatten(state["params"])) | dict(flatten(state["buffers"]))
        assert carried.keys() == module.state_dict().keys()
        for key, value in module.state_dict().items():
            assert torch.equal(carried[key], value), (number, key)
        for key, param in module.named_parameters():
            assert torch.equal(dict(flatten(aux["grads"]))[key], param.grad)
            for slot, value in optimizer.state[param].items():
                kept = state["optimizer"].get(slot)
                if slot == "step":
                    assert int(kept) == int(value) == number
                elif value is not None:
                    assert torch.equal(dict(flatten(kept))[key], value), (number, slot, key)
    assert any(not torch.equal(before[k], v) for k, v in module.state_dict().items())


def test_the_state_is_nested_by_name_and_apart_from_the_module():
    module = make_module()
    state, step = comparisons.torch_training(
        module, lambda module: torch.optim.Adam(module.parameters()), loss_fn
    )
    assert list(state) == ["params", "buffers", "optimizer"]
    assert set(state["optimizer"]) == {"exp_avg", "exp_avg_sq", "step"}
    assert torch.equal(state["params"]["0"]["weight"], module[0].weight)
    with torch.no_grad():
        module[0].weight.zero_()  # neither the state nor the step is the caller's module
    assert state["params"]["0"]["weight"].any()
    first, _ = step(state, torch.ones(8, 3))
    again, _ = step(state, torch.ones(8, 3))
    assert all(
        torch.equal(a, b) for (_, a), (_, b) in zip(flatten(first), flatten(again), strict=True)
    )


def test_a_module_without_buffers_and_an_optimizer_without_state():
    state, step = comparisons.torch_training(
        nn.Linear(2, 1), lambda module: torch.optim.SGD(module.parameters()), loss_fn
    )
    assert list(state) == ["params", "optimizer"]
    assert state["optimizer"] == {}
    assert step(state, torch.ones(3, 2))[0]["optimizer"] == {}


def test_a_frozen_parameter_is_carried_but_has_no_gradient():
    module = make_module()
    module[0].weight.requires_grad_(False)
    state, step = comparisons.torch_training(
        module,
        lambda module: torch.optim.AdamW([p for p in module.parameters() if p.requires_grad]),
        loss_fn,
    )
    new, aux = step(state, torch.ones(8, 3) * torch.arange(8.0)[:, None])
    assert torch.equal(new["params"]["0"]["weight"], module[0].weight)
    assert list(aux["grads"]["0"]) == ["bias"]
    assert list(new["optimizer"]["exp_avg"]["0"]) == ["bias"]


def test_before_step_clips_as_a_loop_does():
    def clip(module, optimizer, batch):
        nn.utils.clip_grad_norm_(module.parameters(), 0.01)
        optimizer.param_groups[0]["lr"] = float(batch["lr"])

    module = nn.Linear(2, 1)
    state, step = comparisons.torch_training(
        module,
        lambda module: torch.optim.SGD(module.parameters(), lr=1.0),
        lambda module, batch: loss_fn(module, batch["x"]),
        clip,
    )
    batch = {"x": torch.ones(4, 2), "lr": torch.tensor(0.5)}
    new, aux = step(state, batch)
    total = torch.cat([grad.flatten() for _, grad in flatten(aux["grads"])]).norm()
    assert total == pytest.approx(0.01, rel=1e-4)  # the clip's own epsilon, 1e-6 of a norm of 1
    moved = state["params"]["weight"] - new["params"]["weight"]
    # One rounding of the subtraction.
    torch.testing.assert_close(moved, 0.5 * aux["grads"]["weight"], rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "got"),
    [
        (torch.optim.NAdam, "NAdam, with 'mu_product' beside"),
        (torch.optim.ASGD, "ASGD, with 'eta' beside"),
        (torch.optim.LBFGS, "LBFGS, with a step that needs a closure"),
    ],
    ids=["NAdam", "ASGD", "LBFGS"],
)
def test_an_optimizer_that_cannot_be_carried_is_refused(make, got):
    with pytest.raises(ValueError, match=f"got:      {got}") as error:
        comparisons.torch_training(make_module(), lambda m: make(m.parameters()), loss_fn)
    assert "`torch_training(make_optimizer=...)` must make an optimizer" in str(error.value)
    assert "Write the step yourself" in str(error.value)


class Forgetful(torch.optim.SGD):
    """Keeps what matters where nobody looks for it."""

    def __init__(self, params):
        super().__init__(params, lr=0.1)
        self.updates = 0

    def step(self, closure=None):
        self.updates += 1
        for group in self.param_groups:
            group["lr"] = 0.1 / self.updates
        return super().step(closure)


def test_an_optimizer_that_hides_its_state_is_refused():
    with pytest.raises(ValueError, match="Forgetful, with a state that does not begin at zero"):
        comparisons.torch_training(make_module(), lambda m: Forgetful(m.parameters()), loss_fn)


def test_a_parameter_without_a_gradient_is_named():
    state, step = comparisons.torch_training(
        make_module(),
        lambda module: torch.optim.Adam(module.parameters()),
        lambda module, batch: module[0](batch).mean(),
    )
    with pytest.raises(ValueError, match=r"got:      None for '1.weight', '1.bias', '3.weight'"):
        step(state, torch.ones(8, 3))


def test_a_module_without_trained_parameters_is_refused():
    module = nn.Linear(2, 1).requires_grad_(False)
    with pytest.raises(ValueError, match="must have a parameter that is trained"):
        comparisons.torch_training(module, lambda m: torch.optim.SGD(m.parameters()), loss_fn)

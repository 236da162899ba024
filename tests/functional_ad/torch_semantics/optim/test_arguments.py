"""PyTorch's bounds for every option, and the texts that a wrong one gets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import functional_ad as fad
from functional_ad.torch_semantics import optim
from functional_ad.torch_semantics.optim._slots import SLOTS, write_state

ADAMS = ["adam", "adamw", "adamax", "nadam", "radam"]
OTHERS = ["rmsprop", "adagrad", "adadelta", "rprop", "asgd", "adafactor", "muon"]
WRONG = [
    *((name, {"lr": -1.0}, "lr", "at least 0") for name in [*ADAMS, "sgd"]),
    *((name, {"weight_decay": -1e-9}, "weight_decay", "at least 0") for name in [*ADAMS, "sgd"]),
    *((name, {"maximize": 1}, "maximize", "True or False") for name in [*ADAMS, "sgd"]),
    *((name, {"eps": -1e-9}, "eps", "at least 0") for name in ADAMS),
    *((name, {"betas": (1.0, 0.9)}, "betas[0]", "at least 0 and below 1") for name in ADAMS),
    *((name, {"betas": (0.9, -0.1)}, "betas[1]", "at least 0 and below 1") for name in ADAMS),
    *((name, {"betas": 0.9}, "betas", "(beta1, beta2)") for name in ADAMS),
    *((name, {"betas": (0.9, 0.9, 0.9)}, "betas", "(beta1, beta2)") for name in ADAMS),
    ("sgd", {"momentum": -0.1}, "momentum", "at least 0"),
    ("sgd", {"dampening": "much"}, "dampening", "a number"),
    ("sgd", {"nesterov": None}, "nesterov", "True or False"),
    ("sgd", {"lr": float("nan")}, "lr", "at least 0"),
    ("sgd", {"lr": jnp.ones(2)}, "lr", "got:      float32[2]"),
    ("adam", {"betas": (0.9, lambda count: 0.9)}, "betas[1]", "below 1"),
    ("adam", {"amsgrad": 0}, "amsgrad", "True or False"),
    ("adam", {"decoupled_weight_decay": "yes"}, "decoupled_weight_decay", "True or False"),
    ("nadam", {"momentum_decay": -1.0}, "momentum_decay", "at least 0"),
    ("nadam", {"decoupled_weight_decay": 1}, "decoupled_weight_decay", "True or False"),
    ("radam", {"decoupled_weight_decay": 1}, "decoupled_weight_decay", "True or False"),
    *((name, {"lr": -1.0}, "lr", "at least 0") for name in OTHERS),
    *((name, {"maximize": None}, "maximize", "True or False") for name in OTHERS if name != "muon"),
    *(
        (name, {"weight_decay": -1}, "weight_decay", "at least 0")
        for name in OTHERS
        if name != "rprop"
    ),
    ("rmsprop", {"alpha": -0.1}, "alpha", "at least 0"),
    ("rmsprop", {"eps": -0.1}, "eps", "at least 0"),
    ("rmsprop", {"momentum": -0.1}, "momentum", "at least 0"),
    ("rmsprop", {"centered": 1}, "centered", "True or False"),
    ("adagrad", {"lr_decay": -0.1}, "lr_decay", "at least 0"),
    ("adagrad", {"initial_accumulator_value": -0.1}, "initial_accumulator_value", "at least 0"),
    ("adagrad", {"eps": -0.1}, "eps", "at least 0"),
    ("adadelta", {"rho": 1.1}, "rho", "at least 0 and at most 1"),
    ("adadelta", {"eps": -0.1}, "eps", "at least 0"),
    ("rprop", {"etas": 0.5}, "etas", "a tuple of 2"),
    ("rprop", {"etas": (0.0, 1.2)}, "etas[0]", "above 0 and below 1"),
    ("rprop", {"etas": (0.5, 1.0)}, "etas[1]", "above 1"),
    ("rprop", {"step_sizes": (1.0,)}, "step_sizes", "a tuple of 2"),
    ("rprop", {"step_sizes": ("small", 1.0)}, "step_sizes[0]", "a number"),
    ("rprop", {"step_sizes": (1.0, 0.5)}, "step_sizes[1]", "at least 1"),
    ("asgd", {"lambd": "little"}, "lambd", "a number"),
    ("asgd", {"alpha": None}, "alpha", "a number"),
    ("asgd", {"t0": True}, "t0", "a number"),
    ("adafactor", {"beta2_decay": 0.1}, "beta2_decay", "at most 0"),
    ("adafactor", {"eps": 1e-3}, "eps", "a tuple of 2"),
    ("adafactor", {"eps": (-0.1, 1e-3)}, "eps[0]", "at least 0"),
    ("adafactor", {"eps": (None, -1e-3)}, "eps[1]", "at least 0"),
    ("adafactor", {"d": 0.5}, "d", "at least 1"),
    ("muon", {"momentum": -0.1}, "momentum", "at least 0"),
    ("muon", {"nesterov": "yes"}, "nesterov", "True or False"),
    ("muon", {"ns_coefficients": (3.4, -4.8)}, "ns_coefficients", "a tuple of 3"),
    ("muon", {"ns_coefficients": (3.4, -4.8, "2")}, "ns_coefficients[2]", "a number"),
    ("muon", {"eps": None}, "eps", "a number"),
    ("muon", {"ns_steps": 100}, "ns_steps", "an int of at least 0, at most 99"),
    ("muon", {"ns_steps": 2.0}, "ns_steps", "an int"),
    ("muon", {"adjust_lr_fn": "none"}, "adjust_lr_fn", "None or 'original' or 'match_rms_adamw'"),
]


@pytest.mark.parametrize(("name", "options", "argument", "text"), WRONG, ids=range(len(WRONG)))
def test_options_out_of_bounds(name, options, argument, text):
    with pytest.raises(fad.ArgumentError) as caught:
        getattr(optim, name)(**options)
    assert f"`functional_ad.torch_semantics.optim.{name}({argument}=...)`" in str(caught.value)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "options", [{}, {"momentum": 0.9, "dampening": 0.1}, {"momentum": 0}], ids=str
)
def test_nesterov_needs_momentum_undampened(options):
    with pytest.raises(fad.ArgumentError) as caught:
        optim.sgd(nesterov=True, **options)
    momentum, dampening = options.get("momentum", 0.0), options.get("dampening", 0.0)
    assert str(caught.value) == (
        "`functional_ad.torch_semantics.optim.sgd(nesterov=True)` needs momentum, undampened.\n"
        "  expected: momentum above 0, and dampening=0\n"
        f"  got:      momentum={momentum!r}, dampening={dampening!r}\n"
        "Write e.g. `sgd(momentum=0.9, nesterov=True)`."
    )


def test_numbers_at_the_bounds_are_pytorchs():
    optim.sgd(lr=0, momentum=2, dampening=-1, weight_decay=0)
    optim.adam(lr=0.0, betas=(0, 0.0), eps=0)
    optim.nadam(momentum_decay=0)
    optim.rmsprop(alpha=2, eps=0, momentum=1)
    optim.adadelta(rho=1)
    optim.asgd(lambd=-1, alpha=-1, t0=-1)
    optim.adafactor(beta2_decay=0, eps=(0, 0), d=1)
    optim.muon(momentum=2, ns_steps=0)


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ({"momentum_buffer": jnp.ones(2)}, ["no place for", "'momentum_buffer'", "'exp_avg'"]),
        ({"max_exp_avg_sq": jnp.ones(2)}, ["no place for", "'max_exp_avg_sq'"]),
    ],
)
def test_a_state_with_entries_that_have_no_place(values, texts):
    state = optim.adam().init(jnp.ones(2))
    with pytest.raises(fad.ArgumentError) as caught:
        write_state(SLOTS["adam"], state, values)
    for text in texts:
        assert text in str(caught.value)


def test_parameters_that_made_other_numbers_of_steps():
    params = {"w": jnp.ones(2), "count": jnp.ones(2)}  # no field of the state, for all its name
    state = optim.adam(lr=lambda count: 0.1).init(params)
    with pytest.raises(fad.ArgumentError, match=r"(?s)'step' must be one.*got:      3.0, 5.0"):
        write_state(SLOTS["adam"], state, {"step": {"w": 3.0, "count": 5.0}})
    written = write_state(SLOTS["adam"], state, {"step": {"w": 3.0, "count": 3.0}})
    counts = [leaf for leaf in jax.tree.leaves(written) if leaf.dtype == jnp.int32]
    assert counts == [3, 3]  # Adam's and the schedule's


def test_what_pytorch_has_not_made_yet_stays_as_it_begins():
    params = {"w": jnp.ones(2)}
    state = optim.sgd(momentum=0.9, dampening=0.5).init(params)
    assert write_state(SLOTS["sgd"], state, {}) is state
    values = {"momentum_buffer": {"w": np.array([1.0, 2.0])}}
    written = write_state(SLOTS["sgd"], state, values, count=1)
    assert [x.tolist() for x in jax.tree.leaves(written)] == [1, [1.0, 2.0]]
    plain = optim.sgd(momentum=0.9).init(params)  # counts nothing
    written = write_state(SLOTS["sgd"], plain, values, count=1)
    assert [x.tolist() for x in jax.tree.leaves(written)] == [[1.0, 2.0]]

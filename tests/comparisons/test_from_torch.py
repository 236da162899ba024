"""from_torch of optimizers: PyTorch and the translation make the same updates from there on."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from torch.optim import lr_scheduler

import comparisons
from functional_ad import ArgumentError

# It is enough that the schedulers are stepped.
pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")

BOUND = 1e-10

# In each, options that are not the defaults.
OPTIMIZERS = {
    "SGD plain": (torch.optim.SGD, {"weight_decay": 0.1}),
    "SGD": (torch.optim.SGD, {"momentum": 0.9, "dampening": 0.3, "maximize": True}),
    "SGD nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "Adam": (torch.optim.Adam, {"betas": (0.8, 0.9), "amsgrad": True, "weight_decay": 0.1}),
    "AdamW": (torch.optim.AdamW, {"weight_decay": 0.3, "eps": 1e-3}),
    "Adamax": (torch.optim.Adamax, {"weight_decay": 0.1}),
    "NAdam": (torch.optim.NAdam, {"decoupled_weight_decay": True, "weight_decay": 0.1}),
    "RAdam": (torch.optim.RAdam, {"betas": (0.8, 0.9)}),
    "RMSprop": (torch.optim.RMSprop, {"centered": True, "momentum": 0.9}),
    "Adagrad": (torch.optim.Adagrad, {"lr_decay": 0.1, "initial_accumulator_value": 0.2}),
    "Adadelta": (torch.optim.Adadelta, {"rho": 0.8}),
    "Rprop": (torch.optim.Rprop, {"etas": (0.4, 1.3)}),
    "ASGD": (torch.optim.ASGD, {"t0": 2.0, "lambd": 0.1}),
    "Adafactor": (torch.optim.Adafactor, {"weight_decay": 0.1}),
    "Muon": (torch.optim.Muon, {"momentum": 0.8, "weight_decay": 0.2}),
}


@pytest.fixture(autouse=True)
def double_precision():
    """float64 in both, also for the scalars that PyTorch keeps in its default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with jax.enable_x64(True):
            yield
    finally:
        torch.set_default_dtype(before)


def make_module(bias=True):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(3, 2, bias=bias), torch.nn.Tanh(), torch.nn.Linear(2, 3, bias=bias)
    )


def make_grads(module, step):
    rng = np.random.default_rng(step)
    return {
        name: rng.standard_normal(tensor.shape)
        for name, tensor in module.named_parameters()
        if tensor.requires_grad
    }


def step_torch(module, optimizer, step, scheduler=None):
    for name, grad in make_grads(module, step).items():
        module.get_parameter(name).grad = torch.tensor(grad)
    optimizer.step()
    if scheduler is not None:
        scheduler.step()


def nest(flat):
    tree = {}
    for name, leaf in flat.items():
        layer, last = name.split(".")
        tree.setdefault(layer, {})[last] = leaf
    return tree


def step_jax(transform, params, state, grads):
    updates, state = transform.update(grads, state, params)
    return optax.apply_updates(params, updates), state


def fill_in(grads, params):
    """Gradients of zero for parameters that are not trained."""
    return {
        layer: {name: grads.get(layer, {}).get(name, np.zeros(x.shape)) for name, x in own.items()}
        for layer, own in params.items()
    }


def run_both(module, optimizer, translated, steps, *, scheduler=None, convert=None):
    """Updates on both sides, and the greatest difference of the parameters."""
    transform, state, params, *_ = translated
    convert = convert or (lambda tree: tree)
    shapes = nest(dict(module.named_parameters()))
    for step in steps:
        grads = fill_in(nest(make_grads(module, step)), shapes)
        step_torch(module, optimizer, step, scheduler)
        params, state = step_jax(transform, params, state, convert(grads))
    theirs = nest({n: t.detach().numpy() for n, t in module.named_parameters()})
    return measure(params, convert(theirs)), params, state


def measure(ours, theirs):
    """Of all leaves, the greatest difference over the greatest magnitude."""
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True)
    return max(
        np.max(np.abs(x - y)) / max(np.max(np.abs(y)), 1e-300)
        for x, y in ((np.asarray(x), np.asarray(y)) for x, y in pairs)
        if x.size
    )


def make_groups(module):
    """Two, of which the second has another rate, and one parameter that is not trained."""
    first, second, *others = module.parameters()
    others[-1].requires_grad_(False)
    return [{"params": [first, others[0]], "lr": 0.03}, {"params": [second, *others[1:]]}]


def make_optimizer(name, module, grouped=True):
    make, options = OPTIMIZERS[name]
    if name == "Muon":
        return make(module.parameters(), lr=0.1, **options)
    params = make_groups(module) if grouped else module.parameters()
    return make(params, lr=0.1, **options)


def floats(state):
    return [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.floating)]


def counts(state):
    return [x for x in jax.tree.leaves(state) if jnp.issubdtype(x.dtype, jnp.integer)]


@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_goes_on(name, before):
    """With its groups, and its state is what PyTorch's has become, translated then."""
    module = make_module(bias=name != "Muon")
    optimizer = make_optimizer(name, module)
    for step in range(before):
        step_torch(module, optimizer, step)
    translated = comparisons.from_torch(optimizer, module)
    difference, params, state = run_both(module, optimizer, translated, range(before, before + 4))
    assert difference <= BOUND
    again = comparisons.from_torch(optimizer, module)
    assert measure(params, again.params) == difference
    if floats(state):
        assert measure(floats(state), floats(again.state)) <= BOUND
    if "SGD" not in name:  # which PyTorch does not count
        assert counts(state) == counts(again.state)


SCHEDULERS = {
    "SGD": lambda o: lr_scheduler.OneCycleLR(o, [0.3, 0.5], 20),
    "AdamW": lambda o: lr_scheduler.OneCycleLR(o, 0.3, 20, base_momentum=0.6),
    "Adam": lambda o: lr_scheduler.SequentialLR(
        o,
        [lr_scheduler.LinearLR(o, 0.1, 1.0, 4), lr_scheduler.CosineAnnealingLR(o, 3)],
        [5],
    ),
    "NAdam": lambda o: lr_scheduler.CyclicLR(o, 0.01, 0.1, 3),
    "ASGD": lambda o: lr_scheduler.StepLR(o, 2),
    "Adafactor": lambda o: lr_scheduler.ExponentialLR(o, 0.5),
    "RMSprop": lambda o: lr_scheduler.ChainedScheduler(
        [lr_scheduler.ConstantLR(o, 0.5, 4), lr_scheduler.MultiStepLR(o, [2, 5])]
    ),
    "Muon": lambda o: lr_scheduler.PolynomialLR(o, 9),
    "SGD plain": lambda o: lr_scheduler.LambdaLR(o, lambda n: 1 / (1 + n)),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_an_optimizer_goes_on_with_its_scheduler(name):
    module = make_module(bias=name != "Muon")
    optimizer = make_optimizer(name, module)
    scheduler = SCHEDULERS[name](optimizer)
    for step in range(3):
        step_torch(module, optimizer, step, scheduler)
    translated = comparisons.from_torch(optimizer, module, scheduler=scheduler)
    difference, _, _ = run_both(module, optimizer, translated, range(3, 8), scheduler=scheduler)
    assert difference <= BOUND
    alone = comparisons.from_torch(scheduler)
    assert type(alone) is type(translated.schedule)


def test_a_scheduler_that_is_stepped_once_in_an_epoch():
    module = make_module()
    optimizer = make_optimizer("Adam", module)
    scheduler = lr_scheduler.StepLR(optimizer, 2, 0.5)
    grads = iter(range(100))

    def train(epochs):
        for _ in range(epochs):
            for step in range(3):
                step_torch(module, optimizer, next(grads), scheduler if step == 2 else None)

    train(1)
    translated = comparisons.from_torch(optimizer, module, scheduler=scheduler, steps_per_epoch=3)
    transform, state, params, *_ = translated
    shapes = params
    for step in range(3, 12):
        params, state = step_jax(
            transform, params, state, fill_in(nest(make_grads(module, step)), shapes)
        )
    train(3)
    assert (
        measure(params, comparisons.from_torch(optimizer, module, scheduler=None).params) <= BOUND
    )


def test_a_plateau_beside_its_optimizer():
    """Its rate goes into the transform in each step, which is traced."""
    module = make_module()
    optimizer = make_optimizer("AdamW", module, grouped=False)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    for step in range(3):
        step_torch(module, optimizer, step)
        scheduler.step(1.0)
    translated = comparisons.from_torch(optimizer, module, scheduler=scheduler)
    assert translated.schedule.lr == optimizer.param_groups[0]["lr"] == 0.025

    @jax.jit
    def step_with(plateau, params, state, grads):
        transform = translated.make(plateau.lr)
        params, state = step_jax(transform, params, state, grads)
        return plateau.step(1.0), params, state

    plateau, params, state = translated.schedule, translated.params, translated.state
    for step in range(3, 7):
        grads = nest(make_grads(module, step))
        plateau, params, state = step_with(plateau, params, state, grads)
        step_torch(module, optimizer, step)
        scheduler.step(1.0)
    assert plateau.lr == optimizer.param_groups[0]["lr"]
    again = comparisons.from_torch(optimizer, module)
    assert measure(params, again.params) <= BOUND


@pytest.mark.parametrize(
    "options",
    [{"foreach": True}, {"fused": True}, {"lr": torch.tensor(0.1, dtype=torch.float64)}],
    ids=lambda options: next(iter(options)),
)
def test_how_pytorch_computes_a_step_is_left_out(options):
    """And so is what users keep in their groups; a rate that is a tensor is a number."""
    module = make_module()
    groups = [{"params": list(module.parameters()), "name": "all"}]
    optimizer = torch.optim.Adam(groups, **options)
    step_torch(module, optimizer, 0)
    translated = comparisons.from_torch(optimizer, module)
    difference, _, _ = run_both(module, optimizer, translated, range(1, 3))
    assert difference <= BOUND


def test_other_rates_for_each_group():
    module = make_module()
    translated = comparisons.from_torch(make_optimizer("SGD plain", module), module)
    grads = jax.tree.map(jnp.ones_like, translated.params)
    transform = translated.make([0.0, 1.0])
    updates, _ = transform.update(grads, translated.state, translated.params)
    assert not updates["0"]["weight"].any()
    assert updates["0"]["bias"].all()


def to_flax(tree):
    """Kernels are transposed, and the layers have names."""
    return {
        name: {"kernel": tree[number]["weight"].T, "bias": tree[number]["bias"]}
        for name, number in (("hidden", "0"), ("out", "2"))
    }


@pytest.mark.parametrize("name", ["Adam", "SGD", "NAdam"])
def test_a_tree_of_ones_own(name):
    """Groups, frozen parameters and state come with the parameters."""
    module = make_module()
    optimizer = make_optimizer(name, module)
    for step in range(3):
        step_torch(module, optimizer, step)
    translated = comparisons.from_torch(optimizer, module, convert=to_flax)
    assert translated.params["hidden"]["kernel"].shape == (3, 2)
    difference, _, state = run_both(module, optimizer, translated, range(3, 6), convert=to_flax)
    assert difference <= BOUND
    again = comparisons.from_torch(optimizer, module, convert=to_flax)
    assert measure(floats(state), floats(again.state)) <= BOUND


def test_layers_stacked_for_a_scan():
    module = torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(3)))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    step_torch(module, optimizer, 0)

    def stack(tree):
        return jax.tree.map(lambda *layers: jnp.stack(layers), *tree.values())

    translated = comparisons.from_torch(optimizer, module, convert=stack)
    assert translated.params["weight"].shape == (3, 2, 2)
    difference, _, _ = run_both(module, optimizer, translated, range(1, 4), convert=stack)
    assert difference <= BOUND


def test_adafactor_and_muon_under_other_names():
    def rename(tree):
        return [tree["2"]["weight"], {"w": tree["0"]["weight"]}]

    for name in ("Adafactor", "Muon"):
        module = make_module(bias=False)
        optimizer = make_optimizer(name, module, grouped=False)
        step_torch(module, optimizer, 0)
        translated = comparisons.from_torch(optimizer, module, convert=rename)
        difference, _, _ = run_both(module, optimizer, translated, range(1, 4), convert=rename)
        assert difference <= BOUND


@pytest.mark.parametrize("before", [0, 1, 4])
def test_lbfgs_goes_on(before):
    """With fewer places for pairs than it has made."""
    module = make_module()
    optimizer = torch.optim.LBFGS(
        module.parameters(), lr=0.5, max_iter=2, history_size=5, line_search_fn="strong_wolfe"
    )
    inputs, targets = np.random.default_rng(0).standard_normal((2, 8, 3))

    def step():
        def closure():
            optimizer.zero_grad()
            loss = (module(torch.tensor(inputs)) - torch.tensor(targets)).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure)

    def loss(params):
        hidden = jnp.tanh(inputs @ params["0"]["weight"].T + params["0"]["bias"])
        outputs = hidden @ params["2"]["weight"].T + params["2"]["bias"]
        return jnp.mean((outputs - targets) ** 2)

    for _ in range(before):
        step()
    transform, state, params, *_ = comparisons.from_torch(optimizer, module)
    ours = jax.jit(lambda params, state: transform.step(loss, params, state)[:2])
    for _ in range(3):
        step()
        params, state = ours(params, state)
    again = comparisons.from_torch(optimizer, module)
    assert measure(params, again.params) <= BOUND
    for name in ("d", "t", "prev_flat_grad", "prev_loss"):
        assert measure(getattr(state, name), getattr(again.state, name)) <= BOUND
    assert (state.n_iter, state.func_evals) == (again.state.n_iter, again.state.func_evals)


def test_names_without_a_module():
    """Those that the optimizer was given, or numbers."""
    module = make_module()
    named = torch.optim.SGD(module.named_parameters(), lr=0.1)
    assert set(comparisons.from_torch(named).params["0"]) == {"weight", "bias"}
    numbered = torch.optim.SGD(make_groups(module), lr=0.1)
    assert list(comparisons.from_torch(numbered).params) == ["0", "1", "2", "3"]


def test_nothing_is_shared_with_pytorch_and_nothing_changed():
    module = make_module()
    optimizer = make_optimizer("Adam", module)
    step_torch(module, optimizer, 0)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    translated = comparisons.from_torch(optimizer, module)
    kept = jax.tree.map(np.array, (translated.params, translated.state))
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    step_torch(module, optimizer, 1)
    same = jax.tree.map(np.array_equal, (translated.params, translated.state), kept)
    assert jax.tree.all(same)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dtypes_are_kept(dtype):
    module = make_module().to(getattr(torch, dtype))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    module(torch.ones(1, 3, dtype=getattr(torch, dtype))).sum().backward()
    optimizer.step()
    translated = comparisons.from_torch(optimizer, module)
    leaves = jax.tree.leaves((translated.params, floats(translated.state)))
    assert {str(x.dtype) for x in leaves} == {dtype}
    theirs = module[0].weight.detach().float().numpy()
    assert np.array_equal(np.asarray(translated.params["0"]["weight"], np.float32), theirs)


class OwnAdam(torch.optim.Adam):
    """What it does in a step cannot be known."""


def scale_rates(optimizer, args, kwargs):
    """A hook."""


def make_hooked(register):
    optimizer = torch.optim.SGD(make_module().parameters(), lr=0.1)
    getattr(optimizer, register)(scale_rates)
    return optimizer


def make_scheduled(**options):
    optimizer = torch.optim.SGD(make_module().parameters(), lr=0.1)
    lr_scheduler.StepLR(optimizer, 2)
    return optimizer


def make_idle():
    """Of which one parameter has never had a gradient."""
    module = make_module()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    module[0].bias.requires_grad_(False)
    step_torch(module, optimizer, 0)
    module[0].bias.requires_grad_(True)
    return optimizer, module


def make_other_scheduler():
    optimizer = torch.optim.SGD(make_module().parameters(), lr=0.1)
    return optimizer, None, {"scheduler": lr_scheduler.StepLR(make_scheduled(), 2)}


def make_cycled(make):
    optimizer = make(make_module(bias=False).parameters(), momentum=0.9)
    return optimizer, None, {"scheduler": lr_scheduler.CyclicLR(optimizer, 0.1, 0.5)}


def make_converted(convert, name="Adam", bias=True):
    module = make_module(bias)
    grouped = name == "Adam"
    return make_optimizer(name, module, grouped), module, {"convert": convert}


def merge(tree):
    """The two parameters of a layer, which are in groups of their own, in one leaf."""
    return [np.concatenate([x["weight"].ravel(), x["bias"]]) for x in tree.values()]


def freeze(optimizer):
    for group in optimizer.param_groups:
        for param in group["params"]:
            param.requires_grad_(False)
    return optimizer


def add_option(optimizer):
    """As a later version of PyTorch may."""
    optimizer.defaults["sharpness"] = 0.5
    optimizer.param_groups[0]["sharpness"] = 0.7
    return optimizer


REFUSED = {
    "no optimizer": (
        lambda: make_module(),
        "takes an optimizer or a scheduler.\n"
        "  expected: an object of torch.optim or of torch.optim.lr_scheduler\n"
        "  got:      torch.nn.modules.container.Sequential\n"
        "A module's parameters are `dict(module.named_parameters())`.",
    ),
    "an own class": (
        lambda: OwnAdam(make_module().parameters()),
        "can translate PyTorch's own optimizers only.\n"
        "  expected: ASGD, Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, LBFGS, Muon, NAdam, "
        "RAdam, RMSprop, Rprop, SGD\n"
        f"  got:      {OwnAdam.__module__}.OwnAdam\n"
        "Write it as an `optax.GradientTransformation`.",
    ),
    "SparseAdam": (
        lambda: torch.optim.SparseAdam(make_module().parameters()),
        "cannot translate SparseAdam.\n"
        "  expected: an optimizer of dense gradients\n"
        "  got:      SparseAdam, for the sparse gradients of `nn.Embedding(sparse=True)`\n"
        "JAX has no sparse gradients: go on with Adam.",
    ),
    "a hook before": (
        lambda: make_hooked("register_step_pre_hook"),
        "cannot translate an optimizer with hooks.\n"
        "  expected: none registered with `register_step_pre_hook`\n"
        "  got:      scale_rates\n"
        "Remove them, and do what they do before or after `transform.update`.",
    ),
    "a hook after": (
        lambda: make_hooked("register_step_post_hook"),
        "  expected: none registered with `register_step_post_hook`\n",
    ),
    "differentiable": (
        lambda: torch.optim.Adam(make_module().parameters(), differentiable=True),
        "cannot translate an optimizer with `differentiable=True`.\n"
        "  expected: differentiable=False\n"
        "  got:      differentiable=True, with a graph through its state that would be lost\n"
        "In JAX every step can be differentiated: begin there.",
    ),
    "a trained rate": (
        lambda: torch.optim.SGD(
            make_module().parameters(), lr=torch.tensor(0.1, requires_grad=True)
        ),
        "cannot translate an optimizer whose `lr` is trained.\n"
        "  expected: a number, or a tensor that requires no gradient\n"
        "  got:      a tensor with requires_grad=True\n"
        "Pass `lr=rate.item()` to PyTorch's optimizer; in JAX differentiate the step.",
    ),
    "an unknown option": (
        lambda: add_option(torch.optim.SGD(make_module().parameters())),
        "knows no counterpart of an option of SGD.\n"
        "  expected: sharpness=0.5, the default\n"
        "  got:      sharpness=0.7\n"
        "Leave it out in PyTorch.",
    ),
    "no scheduler": (
        make_scheduled,
        "(scheduler=...) must be given with an optimizer that has one.\n"
        "  expected: the scheduler, or None to go on with the learning rates as they are\n"
        "  got:      nothing, and an optimizer whose groups have an `initial_lr`\n"
        "Pass `scheduler=scheduler`.",
    ),
    "another's scheduler": (
        make_other_scheduler,
        "(scheduler=...) must be the optimizer's own.\n"
        "  expected: a scheduler that was made for this optimizer\n"
        "  got:      torch.optim.lr_scheduler.StepLR of another\n"
        "Translate each optimizer with its scheduler.",
    ),
    "no number of steps": (
        lambda: (*make_other_scheduler()[:2], {"steps_per_epoch": 0}),
        "(steps_per_epoch=...) must be a number of updates.\n"
        "  expected: an int of at least 1\n"
        "  got:      0\n"
        "Leave it out where `scheduler.step()` follows each `optimizer.step()`.",
    ),
    "a cycled momentum": (
        lambda: make_cycled(torch.optim.RMSprop),
        "cannot translate a scheduler that cycles the momentum of this optimizer.\n"
        "  expected: SGD, or an optimizer with betas\n"
        "  got:      `rmsprop`, which takes no schedule of its momentum\n"
        "Pass `cycle_momentum=False` to PyTorch's scheduler.",
    ),
    "another module": (
        lambda: (torch.optim.SGD(make_module().parameters()), make_module()),
        "(module=...) must have the parameters of the optimizer.\n"
        "  expected: the module that the optimizer was made for\n"
        "  got:      parameter 0 of group 0, of shape (2, 3)\n"
        "            parameter 1 of group 0, of shape (2,)\n",
    ),
    "complex parameters": (
        lambda: torch.optim.SGD([torch.nn.Parameter(torch.ones(2, dtype=torch.complex128))]),
        "cannot translate the state of complex parameters.\n"
        "  expected: real parameters\n"
        "  got:      '0': torch.complex128\n"
        "Keep them as two real ones in PyTorch, with `torch.view_as_real`.",
    ),
    "a parameter without a gradient": (
        make_idle,
        "cannot translate a group of which some parameters never had a gradient.\n"
        "  expected: parameters that made the same updates\n"
        "  got:      '0.bias'\n"
        "Call `requires_grad_(False)` on what has no part in the loss.",
    ),
    "nothing to train": (
        lambda: freeze(torch.optim.SGD(make_module().parameters())),
        "needs an optimizer with something to train.\n"
        "  expected: at least one parameter with requires_grad=True\n"
        "  got:      none\n"
        "Translate it before its parameters are frozen.",
    ),
    "lbfgs of a part": (
        lambda: (lambda module: (torch.optim.LBFGS(module[0].parameters()), module))(make_module()),
        "cannot translate an LBFGS that does not train all parameters.\n"
        "  expected: parameters of the optimizer, all with requires_grad=True\n"
        "  got:      a module that has more of them\n"
        "Leave `module` out, and close the loss over what is not trained.",
    ),
    "groups in one leaf": (
        lambda: make_converted(merge),
        "(convert=...) must not put parameters of several groups into one leaf.\n"
        "  expected: leaves of one of the optimizer's groups each\n"
        "  got:      '0.weight', '0.bias'\n"
        "            '2.weight', '2.bias'\n"
        "Leave them in leaves of their own, as they have options of their own.",
    ),
    "a part left out": (
        lambda: make_converted(lambda tree: tree["0"]),
        "(convert=...) must return every number of the parameters once.\n"
        "  expected: parameters that are renamed, transposed, reshaped, stacked or split\n"
        "  got:      '2.weight', with more or fewer numbers than it has\n"
        "            '2.bias', with more or fewer numbers than it has\n"
        "Add or leave out parameters after the translation.",
    ),
    "muon transposed": (
        lambda: make_converted(
            lambda tree: [tree["0"]["weight"].T, tree["2"]["weight"]], name="Muon", bias=False
        ),
        "(convert=...) must not change the shapes of what `muon` trains.\n"
        "  expected: parameters that are renamed only: its steps depend on rows and columns\n"
        "  got:      '0.weight'\n"
        "Keep PyTorch's layout, and transpose where the parameters are used.",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_translated(name):
    make, text = REFUSED[name]
    made = make()
    source, module, *options = made if isinstance(made, tuple) else (made, None)
    with pytest.raises(ValueError, match="comparisons") as caught:
        comparisons.from_torch(source, module, **(options[0] if options else {}))
    assert str(caught.value).startswith("`comparisons.from_torch`")
    assert text in str(caught.value)


def test_float64_where_jax_has_none():
    with jax.enable_x64(False), pytest.raises(ValueError, match="would round") as caught:
        comparisons.from_torch(torch.optim.SGD(make_module().parameters()))
    assert str(caught.value) == (
        "`comparisons.from_torch` would round parameters of float64 to float32.\n"
        "  expected: jax_enable_x64, or parameters of float32\n"
        "  got:      '0': torch.float64\n"
        'Call `jax.config.update("jax_enable_x64", True)` first.'
    )


def test_parameters_with_unequal_updates():
    module = make_module()
    optimizer = torch.optim.Adam(module.parameters(), lr=0.1)
    step_torch(module, optimizer, 0)
    module[0].bias.grad = None
    optimizer.step()
    with pytest.raises(ArgumentError, match="'step' must be one for all parameters of a group"):
        comparisons.from_torch(optimizer, module)

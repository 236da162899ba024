"""The schedules of torch_semantics against torch.optim.lr_scheduler, over 1,000 updates."""

import dataclasses
import inspect
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler as theirs

import comparisons
from functional_ad import ArgumentError
from functional_ad.torch_semantics import lr_scheduler as ours

# It is enough that the schedulers are stepped.
pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")

STEPS = 1000
LR = 0.1

# Of the greatest rate. PyTorch's own recursions are up to a third of it off their closed forms.
BOUND = 1e-12
BOUND_FLOAT32 = 1e-6

MANY = settings(max_examples=12)


def run_torch(make, steps=STEPS, *, at=None, act=None):
    """The rates and momenta of PyTorch's updates; before the update `at`, `act(scheduler)`."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR, momentum=0.9)
    scheduler = make(optimizer)
    rates, momenta = [], []
    for step in range(steps):
        if step == at:
            act(scheduler)
        rates.append(optimizer.param_groups[0]["lr"])
        momenta.append(optimizer.param_groups[0]["momentum"])
        scheduler.step()
    return np.asarray(rates), np.asarray(momenta)


def measure(rates, schedule):
    """The greatest difference, in parts of the greatest rate; counts are int32, as optax's are."""
    count = jnp.arange(len(rates), dtype=jnp.int32)
    return np.max(np.abs(np.asarray(schedule(count)) - rates)) / np.max(np.abs(rates))


def check(make, make_ours, *arguments, bound=BOUND, narrow=BOUND_FLOAT32, **keywords):
    """Our rates are PyTorch's, at float64 and at float32; returns PyTorch's."""
    rates, momenta = run_torch(lambda optimizer: make(optimizer, *arguments, **keywords))
    for wide, limit in ((True, bound), (False, narrow)):
        with jax.enable_x64(wide):
            schedule = make_ours(*arguments, **keywords)
            assert measure(rates, schedule) <= limit
            if schedule.momentum is not None:
                assert measure(momenta, schedule.momentum) <= limit
    return rates


gammas = st.floats(0.9, 1.01) | st.sampled_from([0.0, 0.1, 1.0])
counts = st.integers(1, 1200)
shares = st.floats(0.0, 1.0)
some = st.floats(0.01, 1.0)


@MANY
@given(counts, gammas)
def test_step_lr(step_size, gamma):
    check(theirs.StepLR, partial(ours.step_lr, LR), step_size, gamma)


@MANY
@given(st.lists(st.integers(0, 1100), max_size=5), gammas)
def test_multi_step_lr(milestones, gamma):
    check(theirs.MultiStepLR, partial(ours.multi_step_lr, LR), milestones, gamma)


@MANY
@given(gammas)
def test_exponential_lr(gamma):
    check(theirs.ExponentialLR, partial(ours.exponential_lr, LR), gamma)


@MANY
@given(some, counts)
def test_constant_lr(factor, total_iters):
    check(theirs.ConstantLR, partial(ours.constant_lr, LR), factor, total_iters)


@MANY
@given(some, shares, counts)
def test_linear_lr(start, end, total_iters):
    check(theirs.LinearLR, partial(ours.linear_lr, LR), start, end, total_iters)


@MANY
@given(counts, st.just(0.0) | st.floats(0.01, 4.0))
def test_polynomial_lr(total_iters, power):
    check(theirs.PolynomialLR, partial(ours.polynomial_lr, LR), total_iters, power)


@MANY
@given(counts, st.floats(0.0, 0.1))
def test_cosine_annealing_lr(T_max, eta_min):
    """After T_max PyTorch rises from a rate near eta_min, and its rounding rises with it."""
    make = partial(ours.cosine_annealing_lr, LR)
    rates = check(theirs.CosineAnnealingLR, make, T_max, eta_min, bound=1e-10)
    with jax.enable_x64(True):
        difference = make(T_max, eta_min)(jnp.arange(STEPS)) - rates
    assert np.max(np.abs(difference[: T_max + 1])) <= BOUND * LR


@MANY
@given(st.integers(1, 30), st.integers(1, 3), st.floats(0.0, 0.1))
def test_cosine_annealing_warm_restarts(T_0, T_mult, eta_min):
    make = partial(ours.cosine_annealing_warm_restarts, LR)
    check(theirs.CosineAnnealingWarmRestarts, make, T_0, T_mult, eta_min)


@MANY
@given(
    total_steps=st.integers(STEPS, STEPS + 3),
    pct_start=st.floats(0.0, 0.99),
    anneal_strategy=st.sampled_from(["cos", "linear"]),
    base_momentum=shares,
    max_momentum=some,
    div_factor=st.floats(1.0, 100.0),
    final_div_factor=st.floats(1.0, 1e5),
    three_phase=st.booleans(),
    cycle_momentum=st.booleans(),
)
def test_one_cycle_lr(total_steps, **options):
    assume(abs(options["pct_start"] * total_steps - 1) > 0.01)
    check(theirs.OneCycleLR, ours.one_cycle_lr, 0.5, total_steps, **options)


def test_one_cycle_lr_by_epochs():
    check(theirs.OneCycleLR, ours.one_cycle_lr, 0.5, epochs=10, steps_per_epoch=100)


@MANY
@given(
    base_lr=shares,
    max_lr=some,
    step_size_up=st.integers(1, 300),
    step_size_down=st.none() | st.integers(0, 300) | st.floats(5.0, 300.0),
    mode=st.sampled_from(["triangular", "triangular2", "exp_range"]),
    gamma=st.floats(0.9, 1.0),
    scale_fn=st.none() | st.just(lambda x: 1 / (x + 1)),
    scale_mode=st.sampled_from(["cycle", "iterations"]),
    base_momentum=shares,
    max_momentum=some,
)
def test_cyclic_lr(**options):
    # The place in a cycle that is no whole number of steps long is rounded as the count is.
    narrow = 1e-4 if isinstance(options["step_size_down"], float) else BOUND_FLOAT32
    check(theirs.CyclicLR, ours.cyclic_lr, narrow=narrow, **options)


def test_lambda_lr():
    check(theirs.LambdaLR, partial(ours.lambda_lr, LR), lambda count: 1 / (1 + count // 7))


def test_multiplicative_lr():
    def factor(count):
        return 1 - 1 / (count + 5)

    check(theirs.MultiplicativeLR, partial(ours.multiplicative_lr, LR), factor)
    rates, _ = run_torch(lambda o: theirs.MultiplicativeLR(o, factor), 2100)
    with jax.enable_x64(True):  # more than two blocks
        assert measure(rates, ours.multiplicative_lr(LR, factor)) <= BOUND


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A schedule of each kind, with turns that come soon."""

    name: str
    theirs: object
    ours: object
    base: float | None = None  # what its constructor leaves in `initial_lr`, if no other has

    def __repr__(self):
        return self.name


LEAVES = [
    Leaf("step", lambda o: theirs.StepLR(o, 9, 0.9), lambda lr: ours.step_lr(lr, 9, 0.9)),
    Leaf(
        "multi",
        lambda o: theirs.MultiStepLR(o, [0, 5, 40], 0.5),
        lambda lr: ours.multi_step_lr(lr, [0, 5, 40], 0.5),
    ),
    Leaf("exp", lambda o: theirs.ExponentialLR(o, 0.97), lambda lr: ours.exponential_lr(lr, 0.97)),
    Leaf(
        "constant",
        lambda o: theirs.ConstantLR(o, 0.3, 12),
        lambda lr: ours.constant_lr(lr, 0.3, 12),
    ),
    Leaf(
        "linear",
        lambda o: theirs.LinearLR(o, 0.1, 0.8, 20),
        lambda lr: ours.linear_lr(lr, 0.1, 0.8, 20),
    ),
    Leaf(
        "polynomial",
        lambda o: theirs.PolynomialLR(o, 60, 1.5),
        lambda lr: ours.polynomial_lr(lr, 60, 1.5),
    ),
    Leaf(
        "cosine",
        lambda o: theirs.CosineAnnealingLR(o, 13, 0.01),
        lambda lr: ours.cosine_annealing_lr(lr, 13, 0.01),
    ),
    Leaf(
        "restarts",
        lambda o: theirs.CosineAnnealingWarmRestarts(o, 7, 2, 0.01),
        lambda lr: ours.cosine_annealing_warm_restarts(lr, 7, 2, 0.01),
    ),
    Leaf(
        "one_cycle",
        lambda o: theirs.OneCycleLR(o, 0.7, 200),
        lambda lr: ours.one_cycle_lr(0.7, 200),
        base=0.7 / 25,
    ),
    Leaf(
        "cyclic",
        lambda o: theirs.CyclicLR(o, 0.02, 0.3, 11, 5),
        lambda lr: ours.cyclic_lr(0.02, 0.3, 11, 5),
        base=0.02,
    ),
    Leaf(
        "lambda",
        lambda o: theirs.LambdaLR(o, lambda n: 1 / (1 + n)),
        lambda lr: ours.lambda_lr(lr, lambda n: 1 / (1 + n)),
    ),
    Leaf(
        "multiplicative",
        lambda o: theirs.MultiplicativeLR(o, lambda n: 1 - 1 / (n + 5)),
        lambda lr: ours.multiplicative_lr(lr, lambda n: 1 - 1 / (n + 5)),
    ),
]
NAMED = {leaf.name: leaf for leaf in LEAVES}

leaves = st.sampled_from(LEAVES)


def draw_sequences(parts):
    followed = st.tuples(parts, st.lists(leaves, max_size=2))
    return followed.flatmap(
        lambda pair: st.tuples(
            st.just("sequence"),
            st.just([pair[0], *pair[1]]),
            st.lists(st.integers(0, 40), min_size=len(pair[1]), max_size=len(pair[1])).map(sorted),
        )
    )


def draw_composites(parts):
    chains = st.tuples(st.just("chain"), st.lists(parts, min_size=1, max_size=3), st.just([]))
    return chains | draw_sequences(parts)


def list_leaves(tree):
    return [tree] if isinstance(tree, Leaf) else list(itertools.chain(*map(list_leaves, tree[1])))


def find_firsts(tree):
    """The first leaf of the whole, and of each part that is put together of others."""
    if not isinstance(tree, Leaf):
        yield list_leaves(tree)[0]
        for part in tree[1]:
            yield from find_firsts(part)


def build_theirs(tree, optimizer):
    if isinstance(tree, Leaf):
        return tree.theirs(optimizer)
    kind, parts, milestones = tree
    built = [build_theirs(part, optimizer) for part in parts]
    if kind == "chain":
        return theirs.ChainedScheduler(built)
    return theirs.SequentialLR(optimizer, built, milestones)


def build_ours(tree):
    """With the base rate that PyTorch's optimizer has when each is made."""
    bases = iter(_list_bases(list_leaves(tree)))

    def build(tree):
        if isinstance(tree, Leaf):
            return tree.ours(next(bases))
        kind, parts, milestones = tree
        built = [build(part) for part in parts]
        if kind == "chain":
            return ours.chained_scheduler(built)
        return ours.sequential_lr(built, milestones)

    return build(tree)


def _list_bases(leaves):
    base = None
    for leaf in leaves:
        if leaf.base is not None and (base is None or leaf.name == "one_cycle"):
            base = leaf.base
        base = LR if base is None else base
        yield base


@given(
    st.recursive(leaves, draw_composites, max_leaves=6).filter(lambda t: isinstance(t, tuple)),
    st.sampled_from([0, 1, 30]),
)
@settings(max_examples=15)
def test_chains_and_sequences(tree, at):
    """From the start, and from the step at which PyTorch's is translated."""
    cyclers = [leaf for leaf in list_leaves(tree) if leaf.base is not None]
    assume(len(cyclers) < 2)
    # A part that begins with a CyclicLR cannot know of a base rate that was there before it.
    first, *others = find_firsts(tree)
    assume(NAMED["cyclic"] not in others or first is NAMED["cyclic"])
    with jax.enable_x64(True):
        rates, momenta, translated = translate_at(at, tree)
        for begin, schedule in ((0, build_ours(tree)), (at, translated)):
            assert measure(rates[begin:], schedule) <= BOUND
            if schedule.momentum is None:  # what cycled it may be over
                assert np.ptp(momenta[begin:]) == 0
            else:
                assert measure(momenta[begin:], schedule.momentum) <= BOUND


def translate_at(at, tree, steps=100):
    """PyTorch's rates and momenta, and its scheduler as translated before an update."""
    kept = []
    rates, momenta = run_torch(
        lambda optimizer: build_theirs(tree, optimizer),
        steps,
        at=at,
        act=lambda scheduler: kept.append(comparisons.from_torch(scheduler)),
    )
    return rates, momenta, kept[0]


@pytest.mark.parametrize("at", [0, 1, 7, 45])
@pytest.mark.parametrize("leaf", LEAVES, ids=repr)
def test_a_live_scheduler_goes_on(leaf, at):
    with jax.enable_x64(True):
        rates, momenta, translated = translate_at(at, leaf)
        assert measure(rates[at:], translated) <= BOUND
        if translated.momentum is not None:
            assert measure(momenta[at:], translated.momentum) <= BOUND


@pytest.mark.parametrize("name", ["exp", "cosine", "polynomial", "cyclic"])
def test_a_rate_that_someone_has_set_goes_on(name):
    """PyTorch's steps go on from what they find in the optimizer, or do not look at it."""
    kept = []

    def interfere(scheduler):
        scheduler.optimizer.param_groups[0]["lr"] *= 0.7
        kept.append(comparisons.from_torch(scheduler))

    with jax.enable_x64(True):
        rates, _ = run_torch(NAMED[name].theirs, 60, at=20, act=interfere)
        assert measure(rates[20:], kept[0]) <= BOUND


@given(values=st.lists(st.integers(0, 5), min_size=30, max_size=30), at=st.integers(0, 20))
@MANY
def test_a_live_plateau_goes_on(values, at):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = theirs.ReduceLROnPlateau(optimizer, patience=1, cooldown=2, factor=0.5, min_lr=0.01)
    with jax.enable_x64(True):
        for value in values[:at]:
            scheduler.step(value)
        plateau = comparisons.from_torch(scheduler)
        for value in values[at:]:
            scheduler.step(value)
            plateau = plateau.step(value)
            np.testing.assert_allclose(plateau.lr, optimizer.param_groups[0]["lr"], rtol=BOUND)


def test_several_groups_have_a_schedule_each():
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": weights[:1], "lr": 0.5}, {"params": weights[1:]}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    first, second = comparisons.from_torch(theirs.StepLR(optimizer, 2))
    np.testing.assert_allclose([first(0), first(2)], [0.5, 0.05])
    np.testing.assert_allclose([second(0), second(2)], [0.1, 0.01])
    first, second = comparisons.from_torch(
        theirs.ReduceLROnPlateau(optimizer, min_lr=[0.1, 0.01], patience=0)
    )
    np.testing.assert_allclose([first.lr, second.lr], [0.5, 0.1])
    assert (first.min_lr, second.min_lr) == (0.1, 0.01)


class OwnScheduler(theirs.StepLR):
    """Whose rates cannot be known."""


def make_optimizer():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)


def make_stepped(epoch):
    scheduler = theirs.CosineAnnealingWarmRestarts(make_optimizer(), 10)
    scheduler.step(epoch)
    return scheduler


def make_late_chain():
    optimizer = make_optimizer()
    parts = [
        NAMED["exp"].theirs(optimizer),
        theirs.ChainedScheduler([NAMED["exp"].theirs(optimizer)]),
    ]
    return theirs.SequentialLR(optimizer, parts, [3])


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: OwnScheduler(make_optimizer(), 2),
            "`comparisons.from_torch` can translate PyTorch's own schedulers only.\n"
            "  expected: ChainedScheduler, ConstantLR, CosineAnnealingLR, "
            "CosineAnnealingWarmRestarts, CyclicLR, ExponentialLR, LambdaLR, LinearLR, "
            "MultiStepLR, MultiplicativeLR, OneCycleLR, PolynomialLR, ReduceLROnPlateau, "
            "SequentialLR, StepLR\n"
            f"  got:      {OwnScheduler.__module__}.OwnScheduler\n"
            "Write its rates as a function of the count, as optax takes it.",
        ),
        (
            lambda: make_stepped(2.5),
            "`comparisons.from_torch` cannot translate a CosineAnnealingWarmRestarts that was "
            "stepped with `epoch`.\n"
            "  expected: T_cur=2, T_i=10 after 2 steps\n"
            "  got:      T_cur=2.5, T_i=10\n"
            "Call `scheduler.step()` without an argument, once in each update.",
        ),
        (
            make_late_chain,
            "`comparisons.from_torch` cannot translate a SequentialLR that comes to a chain or to "
            "a sequence.\n"
            "  expected: a scheduler that PyTorch can set to its beginning\n"
            "  got:      torch.optim.lr_scheduler.ChainedScheduler, at which PyTorch raises "
            "NotImplementedError\n"
            "Write a sequence in a sequence as one.",
        ),
        (
            lambda: theirs.LambdaLR(make_optimizer(), lambda n: 1.0 if n < 3 else 0.1),
            "lambda_lr(lr_lambda=...)` must be a function that JAX can trace.",
        ),
    ],
)
def test_what_of_a_scheduler_cannot_be_translated(make, text):
    with pytest.raises((ValueError, ArgumentError)) as caught:
        comparisons.from_torch(make())
    assert text in str(caught.value)


def test_what_the_chains_do_that_their_parts_alone_do_not():
    """Seen in PyTorch, so that a change of it there is noticed here."""
    chain = ("chain", [NAMED["lambda"], NAMED["exp"]], [])
    rates, _ = run_torch(lambda optimizer: build_theirs(chain, optimizer), 4)
    np.testing.assert_allclose(rates, LR / np.arange(1, 5) * [1, 0.97, 0.97, 0.97])

    first = ("sequence", [("chain", [NAMED["exp"]], []), NAMED["exp"]], [3])
    rates, _ = run_torch(lambda optimizer: build_theirs(first, optimizer), 5)
    np.testing.assert_allclose(rates, LR * 0.97 ** np.array([1, 2, 3, 0, 1]))

    later = ("sequence", [NAMED["exp"], ("chain", [NAMED["exp"]], [])], [3])
    with pytest.raises(NotImplementedError):
        run_torch(lambda optimizer: build_theirs(later, optimizer), 5)
    with pytest.raises(ArgumentError, match="can have a chain or a sequence as its first"):
        build_ours(later)


values = st.lists(st.integers(-8, 8).map(lambda n: n / 4), min_size=60, max_size=60)


@given(
    values=values,
    mode=st.sampled_from(["min", "max"]),
    factor=st.sampled_from([0.0, 0.5, 0.9]),
    patience=st.integers(0, 3),
    threshold=st.sampled_from([0.0, 1e-4, 0.3, 1.0]),
    threshold_mode=st.sampled_from(["rel", "abs"]),
    cooldown=st.integers(0, 3),
    min_lr=st.sampled_from([0.0, 0.03]),
    eps=st.sampled_from([1e-8, 0.02]),
)
@MANY
def test_reduce_lr_on_plateau(values, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=LR)
    scheduler = theirs.ReduceLROnPlateau(optimizer, **options)
    rates = []
    for value in values:
        scheduler.step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    with jax.enable_x64(True):
        plateau, got = jax.lax.scan(
            lambda plateau, value: (plateau.step(value), plateau.step(value).lr),
            ours.reduce_lr_on_plateau(LR, **options),
            jnp.asarray(values),
        )
        np.testing.assert_allclose(got, rates, rtol=BOUND)
        for name in ("best", "num_bad_epochs", "cooldown_counter"):
            assert getattr(plateau, name) == getattr(scheduler, name), name


def name_ours(name):
    """``StepLR`` as ``step_lr``."""
    words = name.replace("LROn", "LrOn").replace("LR", "Lr")
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in words).lstrip("_")


@pytest.mark.parametrize("name", sorted(set(theirs.__all__) - {"LRScheduler"}))
def test_the_arguments_are_torchs(name):
    """PyTorch's names and defaults, in its order; and what is left out of them."""
    given = dict(inspect.signature(getattr(theirs, name)).parameters)
    mine = dict(inspect.signature(getattr(ours, name_ours(name))).parameters)
    del given["optimizer"]
    given.pop("last_epoch", None)
    if name not in ("OneCycleLR", "CyclicLR", "SequentialLR", "ChainedScheduler"):
        assert next(iter(mine)) == "lr"
        del mine["lr"]
    assert list(mine) == list(given)
    assert [p.default for p in mine.values()] == [p.default for p in given.values()]

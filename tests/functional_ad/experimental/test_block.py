"""no_grad_block: what is computed in it is a constant, for every kind of operation, or raises."""

import asyncio
import contextlib
import functools
import inspect
import itertools
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import get_opaque_trace_state
from jax.sharding import AxisType, PartitionSpec

import functional_ad as fad
from functional_ad.experimental import _block, no_grad_block

X = jnp.arange(1.0, 9.0)


def through_ref(x):
    ref = jax.new_ref(x)
    ref[...] = ref[...] * 2
    return ref[...]


def with_callback(x):
    return jax.pure_callback(lambda a: a * 2, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


@jax.custom_vjp
def tripled(x):
    return 3 * x


tripled.defvjp(lambda x: (3 * x, None), lambda _, g: (7 * g,))


@jax.custom_jvp
def doubled(x):
    return 2 * x


doubled.defjvp(lambda primals, tangents: (doubled(*primals), 5 * tangents[0]))


def on_mesh(x):
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("d")
    return jax.shard_map(
        lambda a: a * lax.psum(jnp.sum(a), "d"), mesh=mesh, in_specs=spec, out_specs=spec
    )(x)


def printed(x):
    y = x * 2
    jax.debug.callback(lambda a: None, y)
    return y


def drawn(x):
    return x * jax.random.normal(jax.random.split(jax.random.key(0))[0], x.shape)


# The seventeen kinds of the first experiments, and those that they left out.
OPS = {
    "while": lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * 2), (0, x))[
        1
    ],
    "fori": lambda x: lax.fori_loop(0, jnp.int32(3), lambda i, c: c * 2, x),
    "cond": lambda x: lax.cond(x[0] > 0, jnp.sin, jnp.cos, x),
    "callback": with_callback,
    "random": lambda x: x * jax.random.normal(jax.random.key(0), x.shape),
    "split key": drawn,
    "remat": lambda x: jax.checkpoint(jnp.sin)(x),
    "vmap": lambda x: jax.vmap(lambda a: a**2)(x),
    "gradient inside": lambda x: jax.grad(lambda y: jnp.sum(y**3))(x),
    "ref": through_ref,
    "relu": jax.nn.relu,
    "sort": jnp.sort,
    "stop_gradient": lambda x: lax.stop_gradient(x) * 2,
    "integer index": lambda x: x[jnp.argsort(x)],
    "debug": printed,
    "jit": jax.jit(lambda x: x**2),
    "python number": lambda x: x * np.float64(3.0).item(),
    "shard_map": on_mesh,
    "scan": lambda x: lax.scan(lambda c, a: (c + a, c * a), 0.0, x)[1],
    "custom_vjp": tripled,
    "custom_jvp": doubled,
    "softmax": jax.nn.softmax,
    "hessian inside": lambda x: jnp.diagonal(jax.hessian(lambda y: jnp.sum(y**3))(x)),
    "vjp inside": lambda x: jax.vjp(jnp.sin, x)[1](x)[0],
    "jvp inside": lambda x: jax.jvp(jnp.sin, (x,), (x,))[1],
    "linear solve": lambda x: jnp.linalg.solve(jnp.outer(x, x) + 50 * jnp.eye(8), x),
    "complex": lambda x: jnp.abs(jnp.fft.fft(x)),
    "bfloat16": lambda x: (x.astype(jnp.bfloat16) * 2).astype(jnp.float32),
    "associative scan": lambda x: lax.associative_scan(jnp.multiply, x / 4),
    "in-place update": lambda x: x.at[2].set(x[0] * 3),
    "matmul": lambda x: jnp.outer(x, x) @ x,
    "map": lambda x: lax.map(jnp.sin, x),
    "custom_root": lambda x: lax.custom_root(
        lambda y: y**3 - x, x, lambda f, y0: jnp.cbrt(x), lambda g, y: y / g(jnp.ones_like(y))
    ),
}


def use_block(op):
    def fun(x):
        with no_grad_block():
            constant = op(x)
        return jnp.sum(constant * x)

    return fun


def close_over(op):
    """What the operation works on is closed over, in a function that JAX compiles or calls."""

    def fun(x):
        with no_grad_block():
            constant = jax.jit(lambda: op(x))()
        return jnp.sum(constant * x)

    return fun


def use_stop_gradient(op):
    def fun(x):
        return jnp.sum(lax.stop_gradient(op(lax.stop_gradient(x))) * x)

    return fun


WAYS = {"block": use_block, "closure": close_over}
TANGENT = jnp.cos(X)
DERIVATIVES = {
    "grad": jax.grad,
    "value": lambda f: f,
    "jvp": lambda f: lambda x: jax.jvp(f, (x,), (TANGENT,)),
    "linearize": lambda f: lambda x: jax.linearize(f, x)[1](TANGENT),
    "hessian": jax.hessian,
    "grad of vmap": lambda f: jax.grad(lambda x: jax.vmap(f)(jnp.stack([x, 2 * x])).sum()),
    "vmap of grad": lambda f: lambda x: jax.vmap(jax.grad(f))(jnp.stack([x, 2 * x])),
    "remat": lambda f: jax.grad(jax.checkpoint(f)),
    "grad of jit": lambda f: jax.grad(jax.jit(f)),
    "scan": lambda f: jax.grad(lambda x: lax.scan(lambda c, _: (c + f(x), f(x)), 0.0, None, 2)[0]),
}
# What JAX itself does not do, with stop_gradient as without a block.
IMPOSSIBLE = {("callback", "grad of vmap"), ("callback", "vmap of grad"), ("ref", "hessian")}


def assert_same(got, want):
    assert jax.tree.structure(got) == jax.tree.structure(want)
    # Eager and compiled code fuse otherwise: a few roundings of float32.
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5), got, want)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_is_that_of_stop_gradient(op, way, compiled):
    gradient = jax.grad(WAYS[way](OPS[op]))
    got = (jax.jit(gradient) if compiled else gradient)(X)
    assert_same(got, jax.grad(use_stop_gradient(OPS[op]))(X))
    assert_same(got, OPS[op](X))  # the factor that is held fixed


PAIRS = sorted(set(itertools.product(OPS, DERIVATIVES)) - IMPOSSIBLE)


@pytest.mark.parametrize(("op", "derivative"), PAIRS)
def test_every_derivative_is_that_of_stop_gradient(op, derivative):
    fun = DERIVATIVES[derivative]
    assert_same(fun(use_block(OPS[op]))(X), fun(use_stop_gradient(OPS[op]))(X))


@pytest.mark.parametrize(("op", "derivative"), sorted(IMPOSSIBLE))
def test_what_jax_cannot_do_raises_in_a_block_too(op, derivative):
    for way in (use_stop_gradient, use_block):
        with pytest.raises((NotImplementedError, ValueError)):
            DERIVATIVES[derivative](way(OPS[op]))(X)


@pytest.mark.parametrize("op", ["while", "scan", "jit", "matmul"])
def test_the_table_notices_a_gradient_that_passes(op):
    def leak(x):
        return jnp.sum(OPS[op](x) * x)

    with pytest.raises((AssertionError, ValueError)):  # a loop of unknown length has no gradient
        assert_same(jax.grad(leak)(X), jax.grad(use_stop_gradient(OPS[op]))(X))


def test_inside_shard_map():
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("d")
    gradient = jax.grad(use_block(jnp.sin))
    mapped = jax.shard_map(gradient, mesh=mesh, in_specs=spec, out_specs=spec)
    assert_same(mapped(X), jnp.sin(X))
    assert_same(jax.jit(mapped)(X), jnp.sin(X))


def test_a_function_mapped_over_devices_may_close_over_what_is_stopped():
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("d")

    def fun(w):
        with no_grad_block():
            mapped = jax.shard_map(lambda a: a * w, mesh=mesh, in_specs=spec, out_specs=spec)
            constant = mapped(X)
        return jnp.sum(constant) * w

    assert jax.grad(fun)(2.0) == 2.0 * X.sum()


def test_nothing_is_saved_for_a_backward_pass():
    """The residuals of eager gradients and the memory of compiled ones are stop_gradient's."""

    def grow(x):
        for _ in range(8):
            x = jnp.tanh(x @ x)
        return x

    def measure(fun):
        x = jnp.ones((64, 64))
        residuals = sum(leaf.nbytes for leaf in jax.tree.leaves(jax.vjp(fun, x)[1]))
        compiled = jax.jit(jax.grad(fun)).lower(x).compile()
        memory = compiled.memory_analysis().temp_size_in_bytes
        return residuals, memory, compiled.cost_analysis()["flops"]

    assert measure(use_block(grow)) == measure(use_stop_gradient(grow))
    assert measure(use_block(grow)) < measure(lambda x: jnp.sum(grow(x) * x))


def test_blocks_nest_and_end():
    def fun(x):
        with no_grad_block():
            with no_grad_block():
                a = x * 2
            b = x * 3  # the outer block goes on
        return a + b + x * 5  # and ends

    assert jax.grad(fun)(1.0) == jax.jit(jax.grad(fun))(1.0) == 5.0


def test_one_object_can_be_entered_again_and_inside_itself():
    block = no_grad_block()

    def fun(x):
        with block:
            with block:
                a = x * 2
            b = x * 3
        with block:
            c = x * 7
        return a + b + c + x * 5

    assert jax.grad(fun)(1.0) == 5.0


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_an_exception_ends_the_block(compiled):
    def fun(x):
        with contextlib.suppress(ZeroDivisionError), no_grad_block():
            x = x * 1
            1 / 0  # noqa: B018 - it raises
        return x * 2

    def fails(x):
        with no_grad_block():
            return jnp.sin(x) + jnp.ones(3) @ jnp.ones(4)

    gradient = jax.grad(fun)
    assert (jax.jit(gradient) if compiled else gradient)(1.0) == 0.0  # x is the stopped one
    with pytest.raises(TypeError, match="dot"):
        jax.grad(fails)(1.0)
    assert jax.grad(lambda x: x**2)(3.0) == 6.0


def test_it_holds_for_one_thread():
    gradients = []

    def fun(x):
        with no_grad_block():
            worker = threading.Thread(
                target=lambda: gradients.append(float(jax.grad(lambda y: y**2)(3.0)))
            )
            worker.start()
            worker.join()
            constant = x * 2
        return constant * x

    assert jax.grad(fun)(1.0) == 2.0
    assert gradients == [6.0]


def test_compiled_before_and_called_inside_and_the_other_way_around():
    traces = []

    @jax.jit
    def square(x):
        traces.append(x)
        return x**2

    def inside(x):
        with no_grad_block():
            constant = square(x)
        return constant * x

    assert square(3.0) == 9.0
    assert jax.grad(square)(3.0) == 6.0
    count = len(traces)
    for _ in range(3):
        assert jax.grad(inside)(3.0) == 9.0
        assert jax.grad(square)(3.0) == 6.0
    assert len(traces) == count, "a block compiles nothing anew"

    @jax.jit
    def first_inside(x):
        return x**3

    def use(x):
        with no_grad_block():
            return first_inside(x)

    assert jax.grad(use)(2.0) == 0.0
    assert jax.grad(first_inside)(2.0) == 12.0


def test_a_block_around_gradients_leaves_them_alone():
    """torch.func.grad under torch.no_grad is a gradient, too."""
    with no_grad_block():
        assert jax.grad(lambda x: x**3)(2.0) == 12.0
        assert jax.jit(jax.grad(lambda x: x**3))(2.0) == 12.0
        assert fad.value_and_grad(lambda x: x**3)(2.0)[1] == 12.0

    def outer(x):
        with no_grad_block():
            slope = jax.grad(lambda y: y**3)(x)
        return slope * x

    assert jax.grad(outer)(2.0) == 12.0  # the slope, a constant


def test_a_pullback_made_outside_and_used_inside():
    def fun(x):
        y, pull = jax.vjp(jnp.sin, x)
        with no_grad_block():
            slope = pull(jnp.ones_like(y))[0]
        return slope * x

    np.testing.assert_allclose(jax.grad(fun)(0.5), np.cos(0.5), rtol=1e-6)  # one rounding


def test_in_a_loop_in_remat_and_in_a_custom_rule():
    def body(carry, _):
        with no_grad_block():
            factor = carry * 2
        return carry * factor, factor

    def by_hand(x):
        for _ in range(2):
            x = x * lax.stop_gradient(x * 2)
        return x

    def looped(x):
        return lax.scan(body, x, length=2)[0]

    for fun in (looped, jax.checkpoint(looped), jax.jit(looped)):
        assert jax.grad(fun)(1.5) == jax.grad(by_hand)(1.5)

    @jax.custom_vjp
    def ruled(x):
        return body(x, None)[0]

    def forward(x):
        with no_grad_block():
            factor = x * 2
        return x * factor, factor

    def backward(factor, g):
        with no_grad_block():
            return (g * factor,)

    ruled.defvjp(forward, backward)
    assert jax.grad(ruled)(1.5) == 3.0
    assert jax.grad(jax.grad(ruled))(1.5) == 0.0


def test_what_is_only_named_in_the_block_is_not_computed_in_it():
    """As in PyTorch for `y = x`; documented for operations that have nothing to do."""

    def fun(x):
        with no_grad_block():
            same = x
            itself = x.reshape(x.shape)
            stopped = lax.stop_gradient(x)
        return jnp.sum(same + itself + stopped)

    assert_same(jax.grad(fun)(X), jnp.full(8, 2.0))


def test_a_ref_that_holds_a_tangent():
    def read(x):
        ref = jax.new_ref(x)
        with no_grad_block():
            constant = ref[...]
        return jnp.sum(constant * x)

    def write(x):
        ref = jax.new_ref(x)
        with no_grad_block():
            ref[...] = x * 2
        return jnp.sum(ref[...] * x)

    for compiled in (lambda f: f, jax.jit):
        assert_same(compiled(jax.grad(read))(X), X)
        # Reverse mode over a write of what has no gradient fails in JAX 0.10.2 itself.
        _, tangent = compiled(lambda x: jax.jvp(write, (x,), (TANGENT,)))(X)
        assert_same(tangent, jnp.sum(2 * X * TANGENT))


@pytest.mark.parametrize(
    "enter",
    [
        lambda ref: jax.jit(lambda r: r[...] * 2)(ref),
        lambda ref: lax.scan(lambda c, _: (c + ref[0], None), 0.0, length=2)[0],
        lambda ref: lax.cond(True, lambda: ref[...], lambda: ref[...] * 2),
    ],
    ids=["jit", "scan", "cond"],
)
def test_a_ref_does_not_go_into_a_body(enter):
    def fun(x):
        ref = jax.new_ref(x)
        with no_grad_block():
            constant = enter(ref)
        return jnp.sum(constant * x)

    for gradient in (jax.grad(fun), jax.jit(jax.grad(fun))):
        with pytest.raises(fad.PrimitiveError, match="into a body") as e:
            gradient(X)
        assert "Read the Ref before it" in str(e.value)
        assert "with a Ref among its inputs" in str(e.value)


def hold_open(x):
    with no_grad_block():
        yield x * 2


def test_a_generator_that_waits_in_a_block_is_refused():
    def fun(x):
        waiting = hold_open(x)
        value = next(waiting)
        return value * x  # would be stopped without a word

    with pytest.raises(fad.GradModeError, match="must be left before other code runs") as e:
        jax.grad(fun)(1.0)
    assert "a block that 'hold_open' holds open while it waits" in str(e.value)
    assert f"test_block.py:{inspect.getsourcelines(hold_open)[1] + 2})" in str(e.value)


def test_a_coroutine_that_waits_in_a_block_is_refused():
    async def hold(x):
        with no_grad_block():
            await asyncio.sleep(0)

    async def run(x):
        task = asyncio.ensure_future(hold(x))
        await asyncio.sleep(0)
        try:
            return x * 2
        finally:
            await task

    with pytest.raises(fad.GradModeError, match="must be left before other code runs") as e:
        jax.grad(lambda x: asyncio.run(run(x)))(1.0)
    assert "'hold'" in str(e.value)


def test_generators_and_coroutines_that_do_not_wait_inside_it_are_fine():
    def steps(x):
        for factor in (2, 3):
            with no_grad_block():
                constant = x * factor
            yield constant

    async def one(x):
        await asyncio.sleep(0)
        with no_grad_block():
            return x * 5

    assert jax.grad(lambda x: sum(steps(x)) * x)(1.0) == 5.0
    assert jax.grad(lambda x: asyncio.run(one(x)) * x)(1.0) == 5.0


def test_a_block_of_ones_own():
    @contextlib.contextmanager
    def frozen():
        with no_grad_block():
            yield "value"

    def fun(x):
        with frozen() as name, contextlib.ExitStack() as stack:
            stack.enter_context(frozen())
            constant = x * 2
        assert name == "value"
        return constant * x

    assert jax.grad(fun)(1.0) == 2.0
    assert jax.grad(functools.partial(lambda f, x: f(x), fun))(1.0) == 2.0


def test_a_block_that_is_left_elsewhere_is_refused():
    def out_of_order(x):
        first, second = no_grad_block(), no_grad_block()
        first.__enter__()
        second.__enter__()
        try:
            with pytest.raises(fad.GradModeError, match="must be left where it was entered") as e:
                first.__exit__(None, None, None)
            assert "  got:      inside of another block or transform, or after it" in str(e.value)
        finally:
            second.__exit__(None, None, None)
            first.__exit__(None, None, None)
        return x**2

    def in_another_thread(x):
        block, errors = no_grad_block(), []
        block.__enter__()

        def leave():
            try:
                block.__exit__(None, None, None)
            except fad.GradModeError as error:
                errors.append(str(error))

        worker = threading.Thread(target=leave)
        worker.start()
        worker.join()
        block.__exit__(None, None, None)
        assert ["  got:      another thread" in text for text in errors] == [True]
        return x**2

    assert jax.grad(out_of_order)(3.0) == 6.0
    assert jax.grad(in_another_thread)(3.0) == 6.0
    with pytest.raises(fad.GradModeError, match="no block that is open"):
        no_grad_block().__exit__(None, None, None)


def test_as_a_decorator_it_names_the_one_there_is():
    with pytest.raises(fad.ArgumentError, match="is for a `with` statement") as caught:
        no_grad_block()(jnp.sin)
    assert "Decorate with `@functional_ad.no_grad`." in str(caught.value)


@pytest.fixture
def changed_jax(monkeypatch):
    """A JAX whose traces have one more method that a block would have to stop."""
    import functional_ad._compat as compat

    known = compat._TRACE_METHODS
    without = {k: v for k, v in known[0].items() if k != "process_shard_map"}
    monkeypatch.setattr(compat, "_TRACE_METHODS", (without, known[1]))
    _block._find_changes.cache_clear()
    yield
    monkeypatch.undo()
    _block._find_changes.cache_clear()


def test_a_jax_that_is_not_known_is_refused(changed_jax):
    with pytest.raises(fad.GradModeError, match="does not know the inside of this JAX") as caught:
        jax.grad(use_block(jnp.sin))(X)
    assert f"JAX {jax.__version__}:" in str(caught.value)
    assert "process_shard_map()" in str(caught.value)
    assert "Use `functional_ad.no_grad` on a function" in str(caught.value)


def test_torchs_own_answers():
    """A gradient inside the block, one around it, and the alias: PyTorch's, where it is there."""
    torch = pytest.importorskip("torch", reason="needs torch")
    x = torch.tensor(2.0, requires_grad=True)
    with torch.no_grad():
        inner = torch.func.grad(lambda y: y**3)(x.detach())
        alias = x
    assert inner == 12.0
    assert alias.requires_grad
    assert not inner.requires_grad

    def around(y):
        with torch.no_grad():
            constant = y * 3
        return constant * y

    assert torch.func.grad(around)(torch.tensor(2.0)) == 6.0
    assert jax.grad(use_block(lambda y: y * 3))(2.0) == 6.0


def test_a_module_writes_its_state_in_the_block():
    """flax.nnx compares JAX's trace states before it writes to a variable (batch statistics)."""

    def state():
        return get_opaque_trace_state(convention="nnx")

    def loss(w):
        outside = state()
        with no_grad_block():
            assert state() == outside
            with no_grad_block():
                assert state() == outside
            t = w * 3
        return t * w

    assert jax.grad(loss)(2.0) == 6.0
    assert jax.jit(jax.grad(loss))(2.0) == 6.0

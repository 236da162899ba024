"""A traced program: evaluated as the function runs, hooked at every equation, with its lines."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from functional_ad._program import evaluate, trace, walk

X = np.linspace(-1, 2, 12, dtype=np.float32).reshape(3, 4)
TABLE = np.arange(4, dtype=np.float32)


def pass_on(step, inputs):
    return step.run(inputs)


def scanned(x):
    def step(carry, row):
        total, count = carry
        return (total + row * TABLE, count + 1), jnp.sin(total).sum()

    return jax.lax.scan(step, (x[0], 0), x, reverse=True)


def looped(x):
    return jax.lax.while_loop(
        lambda state: (state[0] < 3) & (state[1].sum() < 1e6 * x[0, 0] ** 2),
        lambda state: (state[0] + 1, state[1] * x + TABLE),
        (0, x),
    )


def branched(x):
    return jax.lax.switch(2, [jnp.sin, jnp.cos, lambda y: y @ y.T], x[:, :3])


@jax.custom_jvp
def doubled(x):
    return 2 * x


doubled.defjvp(lambda primals, tangents: (doubled(*primals), 5 * tangents[0]))  # not 2


@jax.custom_vjp
def tripled(x):
    return 3 * x


tripled.defvjp(lambda x: (tripled(x), None), lambda _, g: (7 * g,))  # not 3


def nested(x):
    inner = jax.checkpoint(jax.jit(lambda y: jnp.tanh(y) * tripled(y)))
    return {"a": [inner(x), doubled(x)], "b": jax.grad(lambda y: inner(y).sum())(x)}


FUNCTIONS = [
    scanned,
    looped,
    branched,
    nested,
    lambda x: jax.nn.softmax(x) + jnp.var(x),
    lambda x: jnp.linalg.svd(x)[1],
    lambda x: jax.vmap(lambda row: jnp.interp(row, TABLE, TABLE**2))(x),
    lambda x: jax.random.normal(jax.random.key(0), x.shape) + x,
    lambda x: (x, 3, X),
]
NAMES = ["scan", "while", "cond", "nested", "softmax", "svd", "vmap", "random", "constants"]


@pytest.mark.parametrize("fn", FUNCTIONS, ids=NAMES)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_evaluation_with_no_change_is_the_function(fn, compiled):
    program = trace(fn, (X,))

    def run(x):
        return evaluate(program, (x,), pass_on)

    ours, expected = (jax.jit(run) if compiled else run)(X), fn(jnp.asarray(X))
    assert jax.tree.structure(ours) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected), strict=True):
        assert jnp.result_type(a) == jnp.result_type(b)
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)  # compiled as other fusions


def test_other_arguments_than_those_of_the_trace():
    program = trace(lambda x, n, y: {"sum": x * n + y["y"]}, (X, 3, {"y": X}))
    result = evaluate(program, (X + 1, 3, {"y": X * 2}), pass_on)
    np.testing.assert_array_equal(result["sum"], (X + 1) * 3 + X * 2)


@pytest.mark.parametrize("fn", FUNCTIONS, ids=NAMES)
def test_the_hook_is_called_for_the_steps_that_walk_lists(fn):
    program = trace(fn, (X,))
    listed = {step.path: step.op for step in walk(program)}
    called = {}

    def note(step, inputs):
        called[step.path] = step.op
        return step.run(inputs)

    evaluate(program, (X,), note)
    entered = {path for path in listed if any(p[: len(path)] == path != p for p in listed)}
    empty = {path for path, op in listed.items() if op in ("jit", "cond") and path not in called}
    assert called == {p: op for p, op in listed.items() if p not in entered | empty}


@pytest.mark.parametrize(
    ("fn", "op"),
    [
        (scanned, "sin"),
        (looped, "mul"),
        (branched, "dot_general"),
        (nested, "tanh"),
    ],
)
def test_the_hook_reaches_into_bodies(fn, op):
    program = trace(fn, (X,))
    changed = evaluate(program, (X,), lambda s, i: [o * 2 if s.op == op else o for o in s.run(i)])
    before, after = jax.tree.leaves(fn(jnp.asarray(X))), jax.tree.leaves(changed)
    assert any(not np.allclose(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(("fn", "rule", "primal"), [(doubled, 5, 2), (tripled, 7, 3)])
def test_derivative_rules_are_kept_if_asked_for(fn, rule, primal):
    program = trace(lambda x: jax.jit(fn)(x).sum(), (X,))

    def slope(into_custom):
        run = jax.grad(lambda x: evaluate(program, (x,), pass_on, into_custom=into_custom))
        return float(run(jnp.asarray(X))[0, 0])

    assert slope(False) == rule
    assert slope(True) == primal
    names = {step.op for step in walk(program, into_custom=False)}
    assert "mul" not in names
    assert "mul" in {step.op for step in walk(program)}


@pytest.mark.parametrize(
    "fn",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: np.sin(np.asarray(x)),
        lambda x: [x] * int(x[0, 0] + 2),
    ],
    ids=["if", "numpy", "int"],
)
def test_a_function_that_looks_at_its_numbers_has_no_program(fn):
    fn(jnp.asarray(X))
    assert trace(fn, (X,)) is None


def test_python_may_look_at_integers():
    program = trace(lambda x, rows: x[int(rows[0])], (X, np.array([1, 2])))
    np.testing.assert_array_equal(evaluate(program, (X, None), pass_on), X[1])


def line_of(fn, offset):
    return f"test_program.py:{inspect.getsourcelines(fn)[1] + offset}"


def first_use(x):
    return jnp.var(x) + jax.nn.relu(x)


def second_use(x):
    y = x + 1
    return jnp.var(y) * 2


def in_a_loop(x):
    def step(carry, row):
        total = carry + 1
        return total, jnp.cos(row)

    return jax.lax.scan(step, 0.0, x)


def find_lines(fn, op):
    return {step.line for step in walk(trace(fn, (X,))) if step.op == op}


def test_lines_are_the_users_own():
    assert find_lines(in_a_loop, "cos") == {line_of(in_a_loop, 3)}
    assert find_lines(lambda x: jax.jit(in_a_loop)(x), "cos") == {line_of(in_a_loop, 3)}


def test_what_jax_compiles_for_itself_has_the_line_of_each_call():
    # jnp.var is traced once, for the first of them.
    assert line_of(first_use, 1) in find_lines(first_use, "integer_pow") | find_lines(
        first_use, "square"
    )
    found = find_lines(second_use, "integer_pow") | find_lines(second_use, "square")
    assert found == {line_of(second_use, 2)}


def test_a_line_in_the_backward_pass_is_that_of_the_forward_one():
    def loss(x):
        return jnp.tanh(x).sum()

    assert find_lines(jax.grad(loss), "mul") == {line_of(loss, 1)}


def test_no_line_where_there_is_no_users_code():
    assert find_lines(jnp.sin, "sin") == {None}

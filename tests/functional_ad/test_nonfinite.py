"""first_nonfinite: right on every planted source, silent or harmless on every clean function."""

import inspect
import re
import warnings

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from jax import lax

import functional_ad as fad
from benchmarks._nonfinite_sources import CLEAN, SOURCES
from functional_ad._nonfinite import _run

BY_NAME = {source.name: source for source in SOURCES}
LOOPS = [source.name for source in SOURCES if source.iterations]


def floats_of(tree):
    return [x for x in jax.tree.leaves(tree) if jnp.issubdtype(jnp.result_type(x), jnp.inexact)]


def evaluate_plainly(fun, args):
    """Whether the outputs are finite, and the gradients, by JAX alone; None if there are none."""
    leaves, tree = jax.tree.flatten(args)
    chosen = [jnp.issubdtype(jnp.result_type(leaf), jnp.inexact) for leaf in leaves]

    def total(floats):
        given = iter(floats)
        filled = [next(given) if take else leaf for leaf, take in zip(leaves, chosen, strict=True)]
        return sum(jnp.sum(x) for x in floats_of(fun(*jax.tree.unflatten(tree, filled))))

    outputs = all(bool(jnp.isfinite(x).all()) for x in floats_of(fun(*args)))
    try:
        grads = jax.grad(total)(floats_of(args)) if floats_of(args) else []
    except ValueError:  # a `while` has no gradient
        return outputs, None
    return outputs, all(bool(jnp.isfinite(x).all()) for x in grads)


def check(found, source):
    assert found is not None
    assert not found.harmless, str(found)
    assert found.op in source.ops
    assert found.phase == source.phase
    assert (found.line, found.iterations) == (source.line, source.iterations)
    assert found.argument == source.argument
    if found.line:
        assert f"{found.file}:{found.line.partition(':')[2]}" in str(found)
    assert not np.isfinite(found.value)


def test_there_are_enough_sources():
    assert len(SOURCES) >= 30
    assert len(CLEAN) >= 15
    assert len({source.name for source in SOURCES}) == len(SOURCES)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_source_is_what_it_is_said_to_be(name):
    outputs, grads = evaluate_plainly(BY_NAME[name].fun, BY_NAME[name].args)
    if BY_NAME[name].phase == "backward":
        assert outputs
        assert grads is False
    elif name != "in_a_forward_rule":  # that one is not finite where it is differentiated
        assert not outputs


@pytest.mark.parametrize("name", CLEAN)
def test_every_clean_function_is_clean(name):
    outputs, grads = evaluate_plainly(*CLEAN[name])
    assert outputs
    assert grads in (True, None)


@pytest.mark.parametrize("name", BY_NAME)
def test_it_names_the_operation_the_line_and_the_iteration(name):
    source = BY_NAME[name]
    check(fad.first_nonfinite(source.fun, *source.args), source)


@pytest.mark.parametrize("name", CLEAN)
def test_it_blames_nothing_in_a_clean_function(name):
    fun, args = CLEAN[name]
    found = fad.first_nonfinite(fun, *args)
    assert found is None or found.harmless


WITHOUT_LINES = ("nan_in_the_parameters", "infinity_in_the_batch")
WRAPPED = [name for name in BY_NAME if name not in WITHOUT_LINES and name != "index_out_of_range"]


# In a derivative rule in compiled code, JAX keeps the line that calls the function with the rule.
RULES = ("in_a_forward_rule", "in_a_residual", "in_a_tangent_rule")


@pytest.mark.parametrize("name", [name for name in WRAPPED if name not in RULES])
def test_through_jit(name):
    source = BY_NAME[name]
    check(fad.first_nonfinite(jax.jit(source.fun), *source.args), source)


@pytest.mark.parametrize("name", RULES)
def test_a_rule_in_compiled_code(name):
    source = BY_NAME[name]
    found = fad.first_nonfinite(jax.jit(source.fun), *source.args)
    lines, start = inspect.getsourcelines(source.fun)
    call = next(i for i, line in enumerate(lines) if "jnp.sum(rule(x))" in line)
    assert (found.op in source.ops, found.phase) == (True, source.phase)
    assert found.line == f"_nonfinite_sources.py:{start + call}"


@pytest.mark.parametrize("name", ["log_of_zero", "masked_sqrt", "in_a_scan"])
def test_through_vmap_remat_and_another_scan(name):
    source = BY_NAME[name]
    (x,) = source.args
    check(fad.first_nonfinite(jax.checkpoint(source.fun), x), source)
    good = jnp.full_like(x, 7.0)
    mapped = fad.first_nonfinite(jax.vmap(source.fun), jnp.stack([good, x]))
    check(mapped, source)
    assert mapped.index[0] == 1, "the second example"

    def outer(rows):
        return lax.scan(lambda carry, row: (carry, source.fun(row)), 0.0, rows)[1]

    found = fad.first_nonfinite(outer, jnp.stack([good, good, x]))
    assert (found.op in source.ops, found.line) == (True, source.line)
    assert found.iterations == (2, *source.iterations)


@pytest.mark.parametrize("short", [0, 10**9], ids=["compiled", "opened"])
@pytest.mark.parametrize("name", [name for name in LOOPS if "long" not in name])
def test_loops_are_the_same_compiled_and_opened(name, short, monkeypatch):
    monkeypatch.setattr(_run, "SHORT_LOOP", short)
    source = BY_NAME[name]
    check(fad.first_nonfinite(source.fun, *source.args), source)


@hypothesis.given(
    shape=st.lists(st.integers(1, 4), min_size=0, max_size=3),
    dtype=st.sampled_from(["float16", "bfloat16", "float32", "complex64"]),
    data=st.data(),
)
@hypothesis.settings(max_examples=25)
def test_the_element_is_found_in_any_shape_and_dtype(shape, dtype, data):
    place = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    x = jnp.full(shape, 2.0, dtype).at[place].set(0.0)
    tree = {"step": jnp.int32(3), "none": None, "flag": True, "w": [x], "half": jnp.float16(1)}

    def fun(tree):
        return {"y": jnp.sum(tree["half"]), "z": 1 / (tree["w"][0] * 2)}

    found = fad.first_nonfinite(fun, tree)
    assert (found.op, found.phase, found.index) == ("div", "forward", place)
    assert found.inputs[1].low == 0.0
    assert fad.first_nonfinite(fun, {**tree, "w": [x + 1]}) is None


def test_of_two_that_merge_the_one_that_reaches_is_named():
    """Both are in one array; the first of them is masked away, element by element."""

    def fun(x):
        y = jnp.log(x)  # -inf at 0, masked
        z = jnp.sqrt(y)  # NaN at 0.5, not masked
        return jnp.sum(jnp.where(x > 0, z, 0.0))

    found = fad.first_nonfinite(lambda x: lax.stop_gradient(fun(x)), jnp.array([0.0, 0.5, 3.0]))
    assert (found.op, found.index, found.harmless) == ("sqrt", (1,), False)


def test_of_two_that_both_reach_the_first_is_named():
    def fun(x):
        return jnp.sum(jnp.log(x) + 1 / x)

    assert fad.first_nonfinite(fun, jnp.array([0.0])).op == "log"


def test_what_a_repair_brings_about_is_not_blamed():
    def fun(x):
        y = 1 / x  # inf, harmless: 1 / inf is 0
        z = 1 / (y - 1.0)  # fine, but 1/0 if y were repaired to 1
        return jnp.sum(lax.stop_gradient(z)) + jnp.sum(jnp.log(x + x))

    found = fad.first_nonfinite(fun, jnp.array([0.0, 3.0]))
    assert found.op == "log"


def test_infinity_that_is_written_is_blamed_only_if_nothing_else_is():
    def written(x):
        return jnp.sum(jnp.where(x > 1, x, jnp.inf))

    found = fad.first_nonfinite(written, jnp.array([0.0, 2.0]))
    assert (found.value, found.harmless) == (np.inf, False)
    assert "This constant is written in the function" in str(found)
    assert found.line == f"test_nonfinite.py:{inspect.getsourcelines(written)[1] + 1}"


def test_what_is_closed_over_may_have_it():
    weights = jnp.array([1.0, jnp.nan])
    found = fad.first_nonfinite(lambda x: jnp.sum(weights * x), jnp.ones(2))
    assert (found.argument, found.op, found.index) == ("", "argument", (1,))
    assert str(found).startswith("An array that the function closes over already holds nan")


def test_the_text_says_what_to_do():
    source = BY_NAME["in_a_scan"]
    assert str(fad.first_nonfinite(source.fun, *source.args)) == (
        "log gives -inf, first at [1].\n"
        f"  at {inspect.getsourcefile(source.fun)}:{source.line.partition(':')[2]}\n"
        f"  in iteration 3 of the scan at {scan_line(source.fun)}\n"
        "  input 0: float32[3], 0 to 2\n"
        "It reaches an output.\n"
        "Keep its input above zero, e.g. `jnp.log(jnp.maximum(x, tiny))`."
    )
    trap = str(fad.first_nonfinite(BY_NAME["masked_log"].fun, *BY_NAME["masked_log"].args))
    assert trap.startswith("The derivative of log (as div) gives nan, first at [1].\n")
    assert "Put a `where` on the input as well" in trap
    rule = BY_NAME["in_a_backward_rule"]
    own = str(fad.first_nonfinite(rule.fun, *rule.args))
    assert own.startswith("In the derivative, div gives inf, first at [1].\n")
    root = str(fad.first_nonfinite(BY_NAME["norm_of_zero"].fun, *BY_NAME["norm_of_zero"].args))
    assert "where" not in root, "nothing is masked there"
    fun, args = CLEAN["harmless_in_a_scan"]
    assert "It is harmless: every output and gradient is finite." in str(
        fad.first_nonfinite(fun, *args)
    )
    given = BY_NAME["nan_in_the_parameters"]
    assert str(fad.first_nonfinite(given.fun, *given.args)).startswith(
        "The argument at '0/w' already holds nan, first at [1].\n"
    )


def scan_line(fun):
    lines, start = inspect.getsourcelines(fun)
    at = next(i for i, line in enumerate(lines) if "lax.scan" in line)
    return f"_nonfinite_sources.py:{start + at}"


def test_ranges_say_what_is_in_them():
    source = BY_NAME["every_score_masked"]
    inputs = fad.first_nonfinite(source.fun, *source.args).inputs
    assert str(inputs[0]) == "float32[3], nothing in it finite"
    assert (
        str(fad.Range("float32[2]", 1.0, 2.5, False)) == "float32[2], 1 to 2.5, and some not finite"
    )
    assert str(fad.Range("float32[0]", None, None, True)) == "float32[0], empty"


def test_options_of_the_function_survive():
    def fun(x, kind, rate, table, axis):
        if kind == "log" and rate > 0.5 and axis == 0:
            return {"y": jnp.log(x).sum(axis), "name": kind, "table": table}
        return {"y": x}

    x = jnp.array([1.0, 0.0])
    assert fad.first_nonfinite(fun, x, "log", 0.7, {"a": None}, 0).op == "log"
    assert fad.first_nonfinite(fun, x, "exp", 0.7, {"a": None}, 0) is None
    assert fad.first_nonfinite(jnp.log, 0.0).op == "log"


def test_effects_happen_once_and_prints_do_not():
    calls = []

    def fun(x):
        jax.debug.callback(lambda v: calls.append("print"), x)
        y = jax.pure_callback(lambda v: v * 2, jax.ShapeDtypeStruct(x.shape, x.dtype), x)
        return jnp.log(lax.stop_gradient(y) * 0)

    assert fad.first_nonfinite(lambda x: fun(lax.stop_gradient(x)), jnp.ones(2)).op == "log"
    assert calls == []


def test_under_jaxs_own_checks():
    source = BY_NAME["masked_sqrt"]
    with jax.debug_nans(True), jax.debug_infs(True):
        check(fad.first_nonfinite(source.fun, *source.args), source)


@pytest.mark.parametrize("transform", [jax.jit, jax.grad, jax.vmap], ids=["jit", "grad", "vmap"])
@pytest.mark.parametrize("closes", [False, True], ids=["argument", "closure"])
def test_it_is_not_called_in_traced_code(transform, closes):
    def fun(x):
        if closes:
            fad.first_nonfinite(lambda y: jnp.log(x * y), jnp.ones(()))
        else:
            fad.first_nonfinite(jnp.log, x)
        return x

    x = jnp.ones(2) if transform is jax.vmap else jnp.ones(())
    with pytest.raises(fad.ArgumentError, match="must be called on values, outside of") as caught:
        transform(fun)(x)
    assert "`fun` itself may be jitted" in str(caught.value)


def test_a_function_that_looks_at_its_numbers_is_refused():
    with pytest.raises(fad.ArgumentError, match="must get a function that JAX can trace") as caught:
        fad.first_nonfinite(lambda x: x if x.sum() > 0 else -x, jnp.ones(2))
    assert "TracerBoolConversionError" in str(caught.value)


def test_an_error_of_the_function_is_its_own():
    with pytest.raises(TypeError, match="dot"):
        fad.first_nonfinite(lambda x: x @ jnp.ones(3), jnp.ones(2))


def test_a_ref_is_refused():
    def fun(x):
        ref = jax.new_ref(x)
        ref[...] = jnp.log(ref[...])
        return ref[...]

    with pytest.raises(fad.PrimitiveError, match=re.escape("cannot look into a `jax.Ref`")) as e:
        fad.first_nonfinite(fun, jnp.zeros(2))
    assert "test_nonfinite.py:" in str(e.value)


def test_it_runs_with_gradients_switched_off():
    with fad.set_grad_enabled(False):
        assert fad.first_nonfinite(jnp.log, jnp.zeros(2)).phase == "forward"


def test_the_twins_of_torch_are_what_they_are_said_to_be():
    """PyTorch's own values: not finite where the source says so."""
    pytest.importorskip("torch", reason="needs torch")
    from benchmarks._nonfinite_twins import TWINS, convert

    assert len(TWINS) >= 30
    for name, fun in TWINS.items():
        source = BY_NAME[name]
        args = convert(source.args)
        with warnings.catch_warnings(action="ignore"):  # some warn of what is planted
            output = fun(*args)
        finite = bool(output.isfinite().all())
        if source.phase == "backward":
            assert finite, name
        elif name != "in_a_forward_rule":
            assert not finite, name


def test_a_value_that_is_masked_is_not_called_a_derivative():
    """The softmax of a row that is masked off gives NaN itself; that of the products does not."""

    def attend(q):
        scores = jnp.where(jnp.arange(3)[:, None] == 1, -jnp.inf, q @ q.T)
        return jnp.where(jnp.arange(3)[:, None] == 1, 0.0, jax.nn.softmax(scores) @ q).sum()

    found = fad.first_nonfinite(attend, jnp.arange(6.0).reshape(3, 2))
    assert (found.op, found.phase, found.is_value) == ("sub", "backward", True)
    assert str(found).startswith("sub gives nan, first at [1, 0].")
    assert "The outputs are finite; it reaches a gradient." in str(found)
    assert found.advice.startswith("The value is masked by `where`")
    found = fad.first_nonfinite(lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0).sum(), jnp.zeros(2))
    assert (found.op, found.is_value) == ("sqrt", False)
    assert str(found).startswith("The derivative of sqrt (as div) gives inf")


@pytest.mark.parametrize(
    ("fun", "start"),
    [
        (lambda x: x**2, "The number is too large for the dtype"),
        (lambda x: x * x, "The number is too large for the dtype"),
        (lambda x: (x * 0) ** -1, "Keep its input above zero"),
    ],
)
def test_what_overflows_is_not_said_to_be_near_zero(fun, start):
    found = fad.first_nonfinite(fun, jnp.array([1.0, 1e30]))
    assert found.advice.startswith(start)


def test_a_training_step_is_asked_for_its_outputs_only():
    def step(w):
        grad = jax.grad(lambda w: jnp.sum(w**2))(w)
        return w - 0.1 * grad / (jnp.sqrt(grad**2) + 1e-8)

    assert fad.first_nonfinite(step, jnp.zeros(2)).op == "sqrt"
    assert fad.first_nonfinite(fad.no_grad(step), jnp.zeros(2)) is None
    with_log = fad.no_grad(lambda w: step(jnp.log(w)))
    assert fad.first_nonfinite(with_log, jnp.zeros(2)).op == "log"

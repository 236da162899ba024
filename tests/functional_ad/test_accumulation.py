"""accumulate_grads: the whole batch's loss and gradients, in the memory of a part of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import functional_ad as fad


def mean_loss(w, batch):
    return jnp.mean((batch @ w) ** 2)


def sum_loss(w, batch):
    return jnp.sum((batch @ w) ** 2)


def draw(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@given(
    count=st.integers(1, 6),
    per_microbatch=st.integers(1, 4),
    reduction=st.sampled_from(["mean", "sum"]),
    seed=st.integers(0, 3),
)
def test_equals_the_whole_batch(count, per_microbatch, reduction, seed):
    loss = mean_loss if reduction == "mean" else sum_loss
    w, batch = draw(3, seed=seed), draw(count * per_microbatch, 3, seed=seed + 10)
    value, grad = fad.accumulate_grads(loss, count, reduction=reduction)(w, batch)
    want_value, want_grad = jax.value_and_grad(loss)(w, batch)
    # Sums of up to 24 squares in another order: at most 24 roundings, usually two.
    np.testing.assert_allclose(value, want_value, rtol=3e-6)
    np.testing.assert_allclose(grad, want_grad, rtol=3e-6, atol=3e-6)


def masked_loss(w, batch):
    errors = (batch["x"] @ w - batch["y"]) ** 2
    return jnp.sum(errors * batch["mask"]) / jnp.sum(batch["mask"])


def make_masked_batch(kept):
    n = 64
    mask = np.arange(n) % 16 < kept  # strided microbatches get very different numbers of tokens
    return {"x": draw(n, 3), "y": draw(n, seed=1) * 3, "mask": jnp.asarray(mask)}


def test_a_masked_mean_equals_the_whole_batchs():
    """The promise is 1e-6; a mean of means, for comparison, is off by more than a tenth."""
    w, batch = draw(3), make_masked_batch(kept=5)
    batch["mask"] = batch["mask"].at[0:48:16].set(False)
    want_value, want_grad = jax.value_and_grad(masked_loss)(w, batch)

    weighted = fad.accumulate_grads(masked_loss, 4, weight_fn=lambda b: jnp.sum(b["mask"]))
    value, grad = weighted(w, batch)
    np.testing.assert_allclose(value, want_value, rtol=1e-6)
    assert jnp.linalg.norm(grad - want_grad) <= 1e-6 * jnp.linalg.norm(want_grad)

    _, mean_of_means = fad.accumulate_grads(masked_loss, 4)(w, batch)
    assert jnp.linalg.norm(mean_of_means - want_grad) > 0.1 * jnp.linalg.norm(want_grad)


def test_a_microbatch_of_padding_adds_nothing_even_if_its_loss_is_nan():
    w, batch = draw(3), make_masked_batch(kept=1)  # all tokens are in microbatch 0 of 16
    step = fad.accumulate_grads(masked_loss, 16, weight_fn=lambda b: jnp.sum(b["mask"]))
    value, grad = step(w, batch)
    want_value, want_grad = jax.value_and_grad(masked_loss)(w, batch)
    np.testing.assert_allclose(value, want_value, rtol=1e-6)  # four terms, a rounding or two
    np.testing.assert_allclose(grad, want_grad, rtol=1e-6)
    assert jnp.isnan(fad.accumulate_grads(masked_loss, 16)(w, batch)[0]), "the trap is real"


def test_a_batch_of_padding_only_is_zero():
    step = fad.accumulate_grads(masked_loss, 2, weight_fn=lambda b: jnp.sum(b["mask"]))
    value, grad = step(draw(3), make_masked_batch(kept=0))
    assert value == 0
    assert (grad == 0).all()


@pytest.mark.parametrize(("dtype", "stuck"), [(jnp.bfloat16, 256), (jnp.float16, 2048)])
def test_half_precision_is_summed_in_float32(dtype, stuck):
    """4096 gradients of 1: a half-precision sum stops where 1 is half of its last place."""
    ones = jnp.ones((4096, 1), dtype)

    def add_up(accum_dtype):
        step = fad.accumulate_grads(
            lambda w, b: jnp.sum(b * w), 4096, reduction="sum", accum_dtype=accum_dtype
        )
        return step(jnp.ones((), dtype), ones)[1]

    assert add_up(None).dtype == dtype
    assert float(add_up(None)) == 4096  # a power of two: exact in either
    assert float(add_up(dtype)) == stuck


def test_float8_is_summed_in_float32():
    ones = jnp.ones((64, 1), jnp.float8_e4m3fn)
    step = fad.accumulate_grads(
        lambda w, b: jnp.sum(b.astype(jnp.float32) * w.astype(jnp.float32)), 64, reduction="sum"
    )
    value, grad = step(jnp.ones((), jnp.float8_e4m3fn), ones)
    assert (float(value), float(grad), grad.dtype) == (64.0, 64.0, jnp.float8_e4m3fn)


def test_sums_in_the_dtype_that_was_asked_for():
    w, batch = jnp.ones(3), draw(8, 3)

    def body(dtype):
        step = fad.accumulate_grads(mean_loss, 4, accum_dtype=dtype)
        return str(jax.make_jaxpr(step)(w, batch))

    assert "f16[3]" in body(jnp.float16)
    assert "f16[3]" not in body(None)
    with jax.enable_x64(True):
        assert "f64[3]" in body(jnp.float64)


def test_complex_parameters_are_summed_as_complex():
    w = jnp.array([1 + 2j, 3 - 1j])
    loss = lambda w, b: jnp.mean(jnp.abs(b @ w) ** 2)  # noqa: E731
    for accum_dtype in (None, jnp.float32):
        _, grad = fad.accumulate_grads(loss, 4, accum_dtype=accum_dtype)(w, draw(8, 2))
        np.testing.assert_allclose(grad, jax.grad(loss)(w, draw(8, 2)), rtol=1e-5)  # 8 roundings


def test_aux_is_stacked_with_its_dtypes_and_tree():
    def loss(w, batch):
        aux = {"n": jnp.int32(len(batch)), "rows": batch[:, 0], "seen": batch[0, 0] > 0, "no": None}
        return mean_loss(w, batch), aux

    batch = draw(12, 3)
    (_, aux), _ = fad.accumulate_grads(loss, 4, has_aux=True)(jnp.ones(3), batch)
    np.testing.assert_array_equal(aux["n"], np.full(4, 3, np.int32))
    assert (aux["n"].dtype, aux["seen"].dtype, aux["no"]) == (jnp.int32, jnp.bool_, None)
    assert aux["seen"].shape == (4,)
    np.testing.assert_array_equal(aux["rows"].T.reshape(-1), batch[:, 0])  # as documented: i, i+n


def test_each_microbatch_gets_its_own_key():
    def loss(w, batch, key):
        return w * jnp.sum(batch), jax.random.normal(key)

    key = jax.random.key(7)
    step = fad.accumulate_grads(loss, 4, has_aux=True)
    for given_key in (key, jax.random.PRNGKey(7)):
        (_, drawn), _ = step(1.0, draw(8), given_key)
        want = jax.vmap(jax.random.normal)(jax.random.split(given_key, 4))
        np.testing.assert_array_equal(drawn, want)
        assert len(np.unique(drawn)) == 4
    (_, by_name), _ = step(1.0, draw(8), key=key)
    np.testing.assert_array_equal(by_name, drawn)


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("count", [1, 2, 64])
def test_the_loss_is_traced_once(count, jitted):
    traces = []

    def loss(w, batch, key):
        traces.append(1)
        return mean_loss(w, batch) * jax.random.uniform(key), {"n": 1}

    step = fad.accumulate_grads(loss, count, has_aux=True, weight_fn=lambda b: b.shape[0])
    step = jax.jit(step) if jitted else step
    step(draw(3), draw(64, 3), jax.random.key(0))
    assert len(traces) == 1
    if jitted:
        step(draw(3, seed=1), draw(64, 3, seed=1), jax.random.key(1))
        assert len(traces) == 1
        assert step._cache_size() == 1  # one compilation


def test_what_the_loss_closes_over_may_be_traced():
    def outer(scale):
        def loss(w, batch):
            return mean_loss(w, batch) * scale

        return fad.accumulate_grads(loss, 2)(jnp.ones(3), draw(4, 3))[0]

    want = mean_loss(jnp.ones(3), draw(4, 3))
    # the same sum of four squares, in two orders: two roundings
    np.testing.assert_allclose(jax.grad(outer)(2.0), want, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.grad(outer))(2.0), want, rtol=1e-6)


@pytest.mark.parametrize("batch_grows", [False, True])
def test_memory_does_not_grow_with_the_number_of_microbatches(batch_grows):
    weights = [jnp.ones((64, 64)) for _ in range(4)]

    def loss(weights, x):
        for w in weights:
            x = jnp.tanh(x @ w)
        return jnp.mean(x**2)

    def temporary_bytes(count):
        batch = jnp.ones((count * 32 if batch_grows else 1024, 64))
        step = jax.jit(fad.accumulate_grads(loss, count))
        return step.lower(weights, batch).compile().memory_analysis().temp_size_in_bytes

    few, many = temporary_bytes(4), temporary_bytes(64)
    assert many <= few
    if not batch_grows:
        assert many < 0.5 * few


def test_numpy_and_mixed_batches():
    batch = {"x": np.ones((4, 2), np.float32), "label": np.arange(4), "keys": jax.random.key(0)}
    batch["keys"] = jax.random.split(batch["keys"], 4)

    def loss(w, b):
        noise = jax.vmap(jax.random.uniform)(b["keys"])
        return jnp.mean(b["x"] @ w * b["label"] + noise)

    value, grad = fad.accumulate_grads(loss, 2)(jnp.ones(2), batch)
    np.testing.assert_allclose(grad, [1.5, 1.5])
    np.testing.assert_allclose(value, loss(jnp.ones(2), batch), rtol=1e-6)  # four terms


@pytest.mark.parametrize(
    ("batch", "count", "text"),
    [
        (
            jnp.ones((10, 2)),
            4,
            "`functional_ad.accumulate_grads(num_microbatches=...)` must divide the batch.\n"
            "  expected: a divisor of 10, the length of the leading axis\n  got:      4\n"
            "Choose 2 or 5, or pad the batch and mask the padding with `weight_fn`.",
        ),
        (jnp.ones((3, 2)), 4, "Choose 3, or pad"),
        (jnp.ones((0, 2)), 2, "Choose a batch with examples, or pad"),
        (
            {"x": jnp.ones((4, 2)), "y": jnp.ones(3)},
            1,
            "`functional_ad.accumulate_grads(...)(params, batch)` needs one leading axis.\n"
            "  expected: arrays whose first axis is the same number of examples\n"
            "  got:      'x': float32[4,2]\n            'y': float32[3]\n"
            "Close over what is not an example, instead of putting it into `batch`.",
        ),
        ({"x": jnp.ones(4), "t": 0.5}, 2, "  got:      't': float\n            'x': float32[4]\n"),
        ({}, 2, "  got:      no leaves\n"),
        (np.array(["a", "b"]), 2, "  got:      <U1[2]\n"),
        (jax.new_ref(jnp.ones(4)), 2, "  got:      float32[4]\n"),
    ],
    ids=["indivisible", "too many", "empty", "unequal", "scalar", "nothing", "text", "ref"],
)
def test_refuses_a_batch_that_cannot_be_split(batch, count, text):
    with pytest.raises(fad.MicrobatchError) as caught:
        fad.accumulate_grads(lambda w, b: w, count)(1.0, batch)
    assert text in str(caught.value)


@pytest.mark.parametrize("count", [0, -1, 2.0, "4", None, True])
def test_refuses_a_count_that_is_none(count):
    with pytest.raises(fad.MicrobatchError, match="must be a positive int") as caught:
        fad.accumulate_grads(mean_loss, count)
    assert f"  got:      {count!r} ({type(count).__name__})\n" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"reduction": "none"}, "accumulate_grads(reduction=...)` must say how `loss` reduces"),
        (
            {"reduction": "sum", "weight_fn": len},
            "accumulate_grads(weight_fn=...)` must be a function, for means.",
        ),
        ({"weight_fn": 3}, "got:      3 (int) with reduction='mean'"),
        ({"accum_dtype": jnp.int32}, "must be a real floating dtype"),
        ({"accum_dtype": jnp.complex64}, "got:      complex64\n"),
        ({"accum_dtype": jnp.float64}, "got:      float64, with jax_enable_x64 off\n"),
        ({"accum_dtype": "float33"}, "got:      'float33' (str)\n"),
    ],
    ids=str,
)
def test_refuses_options_of_no_use(options, text):
    with pytest.raises(fad.ArgumentError) as caught:
        fad.accumulate_grads(mean_loss, 2, **options)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("weight", "got"),
    [
        (lambda b: b, "float32[2,3]"),
        (lambda b: jnp.complex64(1), "complex64[]"),
        (lambda b: {"n": 3}, "'n': int"),
        (lambda b: None, "None"),
        (lambda b: "a", "str"),
        (lambda b: jax.random.key(0), "key<fry>[]"),
    ],
    ids=["vector", "complex", "tree", "nothing", "text", "key"],
)
def test_refuses_a_weight_that_is_no_scalar(weight, got):
    with pytest.raises(fad.MicrobatchError, match="must return a real scalar") as caught:
        fad.accumulate_grads(mean_loss, 2, weight_fn=weight)(jnp.ones(3), draw(4, 3))
    assert f"  got:      {got}\n" in str(caught.value)


def test_refuses_a_loss_that_is_no_scalar():
    with pytest.raises(fad.OutputError, match=r"^`functional_ad.accumulate_grads` needs a loss"):
        fad.accumulate_grads(lambda w, b: b @ w, 2)(jnp.ones(3), draw(4, 3))
    with pytest.raises(fad.OutputError, match=r"^`functional_ad.accumulate_grads\(has_aux=True"):
        fad.accumulate_grads(mean_loss, 2, has_aux=True)(jnp.ones(3), draw(4, 3))


def test_a_wrong_selection_names_the_function_that_was_called():
    with pytest.raises(fad.SelectionError, match=r"^`functional_ad.accumulate_grads\(where=...\)"):
        fad.accumulate_grads(mean_loss, 2, where="bias")({"w": jnp.ones(3)}, draw(4, 3))


@pytest.mark.parametrize(
    "key", [3, "x", jax.random.split(jax.random.key(0), 2)], ids=["int", "text", "keys"]
)
def test_refuses_what_is_no_key(key):
    step = fad.accumulate_grads(lambda w, b, key: mean_loss(w, b), 2)
    with pytest.raises(fad.ArgumentError, match="needs one PRNG key") as caught:
        step(jnp.ones(3), draw(4, 3), key)
    assert "Pass `jax.random.key(0)`" in str(caught.value)


def test_refuses_aux_that_cannot_be_stacked():
    step = fad.accumulate_grads(lambda w, b: (mean_loss(w, b), {"name": "x"}), 2, has_aux=True)
    with pytest.raises(fad.OutputError, match="stacks what `loss` returns as aux") as caught:
        step(jnp.ones(3), draw(4, 3))
    assert "  got:      'name': str\n" in str(caught.value)


def test_fractional_weights_at_float64():
    """Weights of k / 3 are no float32: rounded to it, the result would be off by 1e-8."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        w, x, weight = rng.normal(size=3), rng.normal(size=(8, 3)), np.arange(1, 9) / 3

        def loss(w, batch):
            x, weight = batch
            return jnp.sum(weight * (x @ w) ** 2) / jnp.sum(weight)

        step = fad.accumulate_grads(loss, 4, weight_fn=lambda b: jnp.sum(b[1]))
        value, grad = step(w, (x, weight))
        want_value, want_grad = jax.value_and_grad(loss)(w, (x, weight))
        assert (value.dtype, grad.dtype) == (jnp.float64, jnp.float64)
        # eight terms at float64: a few roundings of 1e-16
        np.testing.assert_allclose(value, want_value, rtol=1e-14)
        np.testing.assert_allclose(grad, want_grad, rtol=1e-13)


def test_a_half_precision_loss_is_summed_in_float32():
    """1024 losses of 1: a bfloat16 sum stops at 256."""
    step = fad.accumulate_grads(
        lambda w, b: jnp.sum(b) * w, 1024, reduction="sum", accum_dtype=jnp.bfloat16
    )
    value, _ = step(jnp.ones((), jnp.bfloat16), jnp.ones((1024, 1), jnp.bfloat16))
    assert (value.dtype, float(value)) == (jnp.bfloat16, 1024.0)


@pytest.mark.parametrize(("count", "fits"), [(2, True), (4, False), (16, False)])
def test_on_an_explicit_mesh_each_device_needs_its_share(count, fits):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        batch = jax.device_put(draw(16, 3), NamedSharding(mesh, PartitionSpec("data")))
        w = jax.device_put(jnp.ones(3), NamedSharding(mesh, PartitionSpec()))
        step = jax.jit(fad.accumulate_grads(mean_loss, count))
        if fits:
            # the mean of sixteen squares in another order: a few roundings
            np.testing.assert_allclose(step(w, batch)[0], mean_loss(w, batch), rtol=1e-6)
            return
        with pytest.raises(fad.MicrobatchError) as caught:
            step(w, batch)
        assert str(caught.value) == (
            "`functional_ad.accumulate_grads(num_microbatches=...)` must leave each device the "
            "same number of examples.\n"
            "  expected: microbatches of a multiple of 8 examples, since the batch is sharded "
            "over the mesh's 'data'\n"
            f"  got:      float32[16,3] in {count} microbatches of {16 // count}\n"
            "Choose at most 2 microbatches, or a larger batch."
        )


# --- inside shard_map: whatever the loss does with the mesh, the result is value_and_grad's -------

PARAMS = {"shared": jnp.float32(2.0), "own": jnp.arange(1.0, 3.0)}
EXAMPLES = jnp.arange(1.0, 17.0)


def local_loss(p, x):
    return jnp.mean(p["shared"] * p["own"][0] * x)


def averaged_loss(p, x):
    return lax.pmean(local_loss(p, x), "data") + p["shared"] ** 2


def half_averaged_loss(p, x):
    return local_loss(p, x) + lax.pmean(jnp.mean(p["shared"] ** 2 * x), "data")


def averaged_of_shared(p, x):
    return lax.pmean(jnp.mean(p["shared"] * x), "data") + p["shared"] ** 2


@pytest.mark.parametrize("weighted", [False, True], ids=["equal weights", "weighted"])
@pytest.mark.parametrize(
    "loss", [local_loss, averaged_loss, half_averaged_loss, averaged_of_shared]
)
def test_inside_shard_map_it_is_value_and_grad(loss, weighted):
    """With one parameter that varies over the mesh and one that does not."""
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    specs = {"shared": PartitionSpec(), "own": PartitionSpec("data")}
    weight_fn = (lambda x: jnp.float32(x.shape[0])) if weighted else None

    def run(step):
        def local(params, x):
            value, grads = step(params, x)
            return lax.pmean(value, "data"), grads

        return jax.jit(
            jax.shard_map(
                local,
                mesh=mesh,
                in_specs=(specs, PartitionSpec("data")),
                out_specs=(PartitionSpec(), specs),
            )
        )(PARAMS, EXAMPLES)

    got = run(fad.accumulate_grads(loss, 4, weight_fn=weight_fn))
    want = run(jax.value_and_grad(loss))
    # sums of a dozen small integers and halves: exact, but for the division
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-6), got, want)


def test_on_a_mesh_of_which_one_axis_is_manual():
    mesh = jax.make_mesh((2, 4), ("rows", "others"), axis_types=(AxisType.Auto,) * 2)
    w, batch = jnp.ones(3), draw(16, 3)

    def local(w, batch):
        value, grad = fad.accumulate_grads(mean_loss, 4)(w, batch)
        return lax.pmean(value, "rows"), grad / 2

    specs = (PartitionSpec(), PartitionSpec("rows"))
    sharded = jax.shard_map(
        local, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), axis_names={"rows"}
    )
    value, grad = jax.jit(sharded)(w, batch)
    want_value, want_grad = jax.value_and_grad(mean_loss)(w, batch)
    # the mean of sixteen squares in another order: a few roundings
    np.testing.assert_allclose(value, want_value, rtol=1e-6)
    np.testing.assert_allclose(grad, want_grad, rtol=3e-6, atol=1e-6)


def test_a_weight_that_varies_over_the_mesh_though_the_batch_does_not():
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])

    def local(w, x, scale):
        step = fad.accumulate_grads(
            lambda w, x: jnp.mean(w * x), 4, weight_fn=lambda x: jnp.sum(x) * scale[0]
        )
        value, grad = step(w, x)
        return lax.pmean(value, "data"), lax.pmean(grad, "data")

    rest = PartitionSpec()
    sharded = jax.shard_map(
        local, mesh=mesh, in_specs=(rest, rest, PartitionSpec("data")), out_specs=rest
    )
    value, grad = sharded(jnp.float32(2.0), EXAMPLES, jnp.array([1.0, 3.0]))
    means = EXAMPLES.reshape(4, 4).mean(0)  # of the four microbatches, which are their weights, too
    want = jnp.sum(means**2) / jnp.sum(means)
    np.testing.assert_allclose((value / 2, grad), (want, want), rtol=1e-6)  # four terms

"""Every function of the library under every transform of JAX, on mixed trees, against plain JAX."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import functional_ad as fad
from functional_ad.experimental import no_grad_block

BATCH = 16


def make_args():
    """Parameters with integer, boolean, half-precision and None leaves, and a batch."""
    rng = np.random.default_rng(0)
    params = {
        "enc": [
            {"w": rng.normal(size=(4, 4)).astype(np.float32), "b": np.zeros(4, np.float32)},
            {"w": rng.normal(size=(4, 4)).astype(np.float32), "b": np.ones(4, np.float32)},
        ],
        "scale": np.asarray(1.5, jnp.bfloat16),
        "step": np.int32(7),
        "frozen": np.array([True, False]),
        "absent": None,
    }
    batch = {
        "x": rng.normal(size=(BATCH, 4)).astype(np.float32),
        "label": rng.integers(0, 4, BATCH).astype(np.int32),
    }
    return jax.tree.map(jnp.asarray, (params, batch))


def forward(params, batch):
    h = batch["x"] * params["scale"].astype(jnp.float32)
    for layer in params["enc"]:
        h = jnp.tanh(h @ layer["w"] + layer["b"])
    return h * jnp.where(params["step"] > 3, 1.0, 2.0)


def loss(params, batch):
    logits = forward(params, batch)
    return -jnp.mean(jax.nn.log_softmax(logits) * jax.nn.one_hot(batch["label"], 4))


def differentiate_plainly(fun, params, batch, *, paths=("enc", "scale")):
    """jax.value_and_grad for chosen top-level entries, the others None: the reference."""
    chosen = {name: params[name] for name in paths}
    value, grads = jax.value_and_grad(lambda chosen: fun({**params, **chosen}, batch))(chosen)
    return value, fill_with_none(grads, params)


def fill_with_none(grads, params):
    nothing = jax.tree.map(lambda _: None, params)
    return {**nothing, **grads}


def split_and_join(params, batch):
    diff, rest = fad.partition(params, fad.select(params, ["enc/*/w", "scale"]))
    return fad.combine(jax.tree.map(lambda x: 2 * x, diff), rest)


def split_and_join_plainly(params, batch):
    enc = [{"w": 2 * layer["w"], "b": layer["b"]} for layer in params["enc"]]
    return {**params, "enc": enc, "scale": 2 * params["scale"]}


def pull_back(params, batch):
    def fun(params, x):
        return {"h": forward(params, {"x": x}), "step": params["step"]}

    cotangent = {"h": jnp.cos(batch["x"]), "step": None}
    return fad.vjp(fun, params, batch["x"], cotangent=cotangent)


def pull_back_plainly(params, batch):
    def fun(chosen, x):
        return forward({**params, **chosen}, {"x": x})

    chosen = {"enc": params["enc"], "scale": params["scale"]}
    h, pullback = jax.vjp(fun, chosen, batch["x"])
    grads, x_bar = pullback(jnp.cos(batch["x"]))
    return {"h": h, "step": params["step"]}, (fill_with_none(grads, params), x_bar)


@fad.no_grad
def targets(params, batch):
    return {"h": forward(params, batch), "step": params["step"]}


def bootstrap(params, batch, targets=targets):
    return jnp.mean((forward(params, batch) - targets(params, batch)["h"] - 1.0) ** 2)


def bootstrap_in_block(params, batch):
    with no_grad_block():
        h = forward(params, batch)
    return jnp.mean((forward(params, batch) - h - 1.0) ** 2)


def bootstrap_plainly(params, batch):
    return bootstrap(params, batch, lambda p, b: lax.stop_gradient({"h": forward(p, b)}))


def switch(params, batch):
    with fad.set_grad_enabled(False):
        quiet = loss(params, batch)
        with fad.set_grad_enabled(True):
            value, grads = fad.value_and_grad(loss)(params, batch)
    return quiet, value, grads


def switch_plainly(params, batch):
    value, grads = differentiate_plainly(loss, params, batch)
    return value, value, grads


def accumulate(params, batch):
    return fad.accumulate_grads(loss, 2, where=["enc"])(params, batch)


def tagged_loss(params, batch, add=lambda name, value: checkpoint_name(value, name)):
    h = add("hidden", batch["x"] * params["scale"].astype(jnp.float32))

    def step(h, layer):
        return add("layers", jnp.tanh(h @ layer["w"] + layer["b"])), None

    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *params["enc"])
    h, _ = lax.scan(jax.checkpoint(step), h, stacked)
    return jnp.mean(add("squares", jax.jit(jnp.square)(h)))


def tagged_loss_plainly(params, batch):
    """Zeros as arguments, added where the tags are; the layers' unrolled."""
    shape = batch["x"].shape
    zeros = {
        "hidden": jnp.zeros(shape),
        "layers": jnp.zeros((2, *shape)),
        "squares": jnp.zeros(shape),
    }

    def fun(chosen, zeros):
        h = batch["x"] * chosen["scale"].astype(jnp.float32) + zeros["hidden"]
        for layer, zero in zip(chosen["enc"], zeros["layers"], strict=True):
            h = jnp.tanh(h @ layer["w"] + layer["b"]) + zero
        return jnp.mean(h**2 + zeros["squares"])

    chosen = {"enc": params["enc"], "scale": params["scale"]}
    value, (grads, intermediates) = jax.value_and_grad(fun, (0, 1))(chosen, zeros)
    return value, fill_with_none(grads, params), intermediates


def floats(tree):
    return fill_with_none({name: tree[name] for name in ("enc", "scale")}, tree)


def last_layer(chosen, params, batch):
    """A function of the scale and the second layer's bias, for Jacobians that stay small."""
    enc = [params["enc"][0], {**params["enc"][1], "b": chosen["b"]}]
    return forward({**params, "enc": enc, "scale": chosen["scale"]}, batch)


def choose(params):
    return {"b": params["enc"][1]["b"], "scale": params["scale"].astype(jnp.float32)}


def differentiate_fully(params, batch):
    chosen = choose(params) | {"step": params["step"], "absent": None}
    jacobians = [
        fad.jacobian(last_layer, mode=mode, chunk_size=3)(chosen, params, batch)
        for mode in ("rev", "fwd")
    ]
    squared = lambda *args: jnp.mean(last_layer(*args) ** 2)  # noqa: E731
    return jacobians, fad.hessian(squared, chunk_size=2)(chosen, params, batch)


def differentiate_fully_plainly(params, batch):
    chosen = choose(params)
    empty = {"step": None, "absent": None}
    jacobian = jax.jacrev(last_layer)(chosen, params, batch) | empty
    hessian = jax.hessian(lambda *args: jnp.mean(last_layer(*args) ** 2))(chosen, params, batch)
    return [jacobian, jacobian], {k: row | empty for k, row in hessian.items()} | empty


def multiply(params, batch):
    vector = floats(params)
    by_gauss_newton = fad.ggnvp(
        lambda p: forward(p, batch), lambda z: jnp.mean(z**2), params, vector
    )
    return fad.hvp(lambda p: loss(p, batch), (params,), (vector,)), by_gauss_newton


def multiply_plainly(params, batch):
    chosen = {name: params[name] for name in ("enc", "scale")}
    model = lambda chosen: forward({**params, **chosen}, batch)  # noqa: E731
    pair = jax.jvp(jax.grad(lambda chosen: loss({**params, **chosen}, batch)), (chosen,), (chosen,))
    z, pullback = jax.vjp(model, chosen)
    _, pushed = jax.jvp(model, (chosen,), (chosen,))
    (product,) = pullback(2 * pushed / z.size)
    return tuple(fill_with_none(tree, params) for tree in pair), fill_with_none(product, params)


def hook(params, batch):
    def fun(params, batch):
        params = fad.grad_hook(params, lambda g: {**g, "enc": jax.tree.map(jnp.tanh, g["enc"])})
        return loss(fad.scale_grad(params, jnp.max(batch["x"])), batch)

    return fad.value_and_grad(fun)(params, batch)


def hook_plainly(params, batch):
    value, grads = differentiate_plainly(loss, params, batch)
    scaled = jax.tree.map(lambda g: g * jnp.max(batch["x"]).astype(g.dtype), grads)
    return value, {**scaled, "enc": jax.tree.map(jnp.tanh, scaled["enc"])}


def scale_and_clip(params, batch):
    loss_scale = fad.LossScale(1024.0, growth_interval=1)
    grads = fad.value_and_grad(lambda p, b: loss_scale.scale(loss(p, b)))(params, batch)[1]
    grads, is_finite = loss_scale.unscale(grads)
    return fad.clip_by_norm(grads, 0.125), loss_scale.update(is_finite).current


def scale_and_clip_plainly(params, batch):
    _, grads = differentiate_plainly(loss, params, batch)
    grads = jax.tree.map(lambda g: g.astype(jnp.float32), grads)
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grads)))
    clipped = jax.tree.map(lambda g: g * jnp.minimum(0.125 / (norm + 1e-6), 1.0), grads)
    return fad.Clipped(clipped, norm, jnp.asarray(True)), jnp.float32(2048.0)


CASES = {
    "select, partition, combine": (split_and_join, split_and_join_plainly),
    "value_and_grad": (
        lambda p, b: fad.value_and_grad(loss)(p, b),
        lambda p, b: differentiate_plainly(loss, p, b),
    ),
    "value_and_grad(where)": (
        lambda p, b: fad.value_and_grad(loss, where="scale")(p, b),
        lambda p, b: differentiate_plainly(loss, p, b, paths=["scale"]),
    ),
    "vjp": (pull_back, pull_back_plainly),
    "no_grad": (
        lambda p, b: fad.value_and_grad(bootstrap)(p, b),
        lambda p, b: differentiate_plainly(bootstrap_plainly, p, b),
    ),
    "no_grad_block": (
        lambda p, b: fad.value_and_grad(bootstrap_in_block)(p, b),
        lambda p, b: differentiate_plainly(bootstrap_plainly, p, b),
    ),
    "set_grad_enabled": (switch, switch_plainly),
    "accumulate_grads": (
        accumulate,
        lambda p, b: differentiate_plainly(loss, p, b, paths=["enc"]),
    ),
    "intermediate_grads": (
        lambda p, b: fad.intermediate_grads(tagged_loss)(p, b),
        tagged_loss_plainly,
    ),
    "jacobian, hessian": (differentiate_fully, differentiate_fully_plainly),
    "hvp, ggnvp": (multiply, multiply_plainly),
    "grad_hook, scale_grad": (hook, hook_plainly),
    "LossScale, clip_by_norm": (scale_and_clip, scale_and_clip_plainly),
}


def run_eagerly(fn, params, batch):
    return fn(params, batch)


def run_jitted(fn, params, batch):
    return jax.jit(fn)(params, batch)


def run_mapped(fn, params, batch):
    two = jax.tree.map(lambda x: jnp.stack([x, x]), (params, batch))
    outputs = jax.vmap(fn)(*two)
    jax.tree.map(lambda x: np.testing.assert_array_equal(x[0], x[1]), outputs)
    return jax.tree.map(lambda x: x[1], outputs)


def run_scanned(fn, params, batch):
    two = jax.tree.map(lambda x: jnp.stack([x, x]), (params, batch))
    _, outputs = lax.scan(lambda carry, xs: (carry, fn(*xs)), None, two)
    return jax.tree.map(lambda x: x[1], outputs)


def run_rematerialised(fn, params, batch):
    return jax.jit(jax.checkpoint(fn))(params, batch)


def run_on_mesh(axis_type):
    def run(fn, params, batch):
        mesh = jax.make_mesh((8,), ("data",), axis_types=(axis_type,))
        with jax.set_mesh(mesh):
            params = jax.device_put(params, NamedSharding(mesh, PartitionSpec()))
            batch = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))
            return jax.device_get(jax.jit(fn)(params, batch))

    return run


TRANSFORMS = {
    "eager": run_eagerly,
    "jit": run_jitted,
    "vmap": run_mapped,
    "scan": run_scanned,
    "remat": run_rematerialised,
    "8 devices, automatic": run_on_mesh(AxisType.Auto),
    "8 devices, explicit": run_on_mesh(AxisType.Explicit),
}


def assert_close(got, want):
    assert jax.tree.structure(got) == jax.tree.structure(want)

    def check(got, want):
        assert jnp.asarray(got).dtype == jnp.asarray(want).dtype
        # The transforms fuse and sum in other orders: a few float32 roundings of values near 1,
        # and one bfloat16 rounding (2**-8) where that is the dtype.
        tolerance = 2**-7 if jnp.asarray(got).dtype == jnp.bfloat16 else 2e-6
        np.testing.assert_allclose(
            np.asarray(got, np.float64), np.asarray(want, np.float64), tolerance, tolerance
        )

    jax.tree.map(check, got, want)


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("case", CASES)
def test_equals_plain_jax(case, transform):
    ours, plain = CASES[case]
    params, batch = make_args()
    assert_close(TRANSFORMS[transform](ours, params, batch), plain(params, batch))


@pytest.mark.parametrize("case", CASES)
def test_the_table_notices_a_wrong_gradient(case):
    """The table above could pass by comparing nothing; a gradient off by 1e-4 must fail it."""
    ours, plain = CASES[case]
    params, batch = make_args()

    def nudge(x):
        return x * jnp.asarray(1.0001, x.dtype) if jnp.asarray(x).dtype == jnp.float32 else x

    with pytest.raises(AssertionError):
        assert_close(jax.tree.map(nudge, ours(params, batch)), plain(params, batch))


@pytest.mark.parametrize("case", [case for case in CASES if "select" not in case])
def test_derivatives_of_the_results(case):
    """Second order: the derivative of what each function returns is plain JAX's."""
    ours, plain = CASES[case]
    params, batch = make_args()

    def total(fn):
        def of_inputs(x):
            floats = [
                jnp.sum(leaf.astype(jnp.float32) ** 2)
                for leaf in jax.tree.leaves(fn(params, {**batch, "x": x}))
                if jnp.issubdtype(leaf.dtype, jnp.floating)
            ]
            return sum(floats)

        return jax.jit(jax.grad(of_inputs))(batch["x"])

    # Second derivatives of a tanh network of unit weights: values near 1, some ten roundings.
    np.testing.assert_allclose(total(ours), total(plain), rtol=1e-4, atol=1e-5)


def test_inside_shard_map_gradients_are_summed_once():
    """value_and_grad and accumulate_grads agree inside shard_map; one all-reduce for any count."""
    params, batch = make_args()
    weights = params["enc"]
    mesh = jax.make_mesh((2,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])

    def local_step(step):
        def run(weights, batch):
            value, grads = step(lambda w, b: loss({**params, "enc": w}, b))(weights, batch)
            return lax.pmean(value, "data"), jax.tree.map(lambda g: g / 2, grads)

        return jax.jit(
            jax.shard_map(
                run,
                mesh=mesh,
                in_specs=(PartitionSpec(), PartitionSpec("data")),
                out_specs=PartitionSpec(),
            )
        )

    want = jax.value_and_grad(lambda w: loss({**params, "enc": w}, batch))(weights)
    for step in (
        fad.value_and_grad,
        lambda fun: fad.accumulate_grads(fun, 2),
        lambda fun: fad.accumulate_grads(fun, 8),
    ):
        sharded = local_step(step)
        assert_close(sharded(weights, batch), want)
        text = sharded.lower(weights, batch).compile().as_text()
        assert text.count(" all-reduce(") == 1, "value and gradients go over the mesh together"


def test_vjp_inside_shard_map():
    x = jnp.arange(8.0)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))

    def pull(w, x):
        return fad.vjp(lambda w: jnp.sum(w * x**2), w)[1]

    spec = PartitionSpec()
    mapped = jax.shard_map(pull, mesh=mesh, in_specs=(spec, PartitionSpec("data")), out_specs=spec)
    assert float(mapped(jnp.float32(2.0), x)) == float(jnp.sum(x**2))  # integers: exact


def test_the_library_itself_promotes_nothing_implicitly():
    """Under JAX's strict modes, the library's own arithmetic must not raise; the loss is strict."""

    def strict_loss(params, batch):
        h = jnp.tanh(batch["x"] @ params["w"]) * params["scale"].astype(jnp.float32)
        return jnp.sum(h * batch["mask"][:, None]) / jnp.sum(batch["mask"])

    params = {"w": jnp.ones((4, 3)), "scale": jnp.ones((), jnp.bfloat16), "n": jnp.int32(1)}
    batch = {"x": jnp.ones((8, 4)), "mask": jnp.ones(8)}
    step = fad.accumulate_grads(strict_loss, 4, weight_fn=lambda b: jnp.sum(b["mask"]))

    def compute(params, batch):
        pulled = fad.vjp(strict_loss, params, batch, cotangent=jnp.float32(2))
        scale_and_clip_strictly(strict_loss, params, batch)
        return fad.value_and_grad(strict_loss)(params, batch), pulled, step(params, batch)

    def scale_and_clip_strictly(fun, params, batch):
        loss_scale = fad.LossScale()
        hooked = lambda p: fad.grad_hook(fad.scale_grad(p, 2), lambda g: g)  # noqa: E731
        scaled = lambda p: loss_scale.scale(fun(hooked(p), batch))  # noqa: E731
        grads, is_finite = loss_scale.unscale(fad.value_and_grad(scaled)(params)[1])
        fad.clip_by_norm(grads, 1, norm_type=3)
        loss_scale.update(is_finite)
        fad.hessian(lambda w: fun({**params, "w": w}, batch), chunk_size=5)(params["w"])

    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        (value, _), (_, (doubled, _)), (accumulated, grads) = jax.jit(compute)(params, batch)
    # The same eight numbers in other orders: a rounding or two.
    np.testing.assert_allclose(accumulated, value, rtol=1e-6)
    np.testing.assert_allclose(2 * grads["w"], doubled["w"], rtol=1e-6)

"""Nothing costs more than hand-written JAX: flops and bytes of the optimised programs are equal.

Read off the compiled program (`cost_analysis`), which unlike a time does not wobble.
"""

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.ad_checkpoint import checkpoint_name

import functional_ad as fad

PARAMS = {"enc": jnp.ones((32, 32)), "dec": jnp.ones((32, 8)), "step": jnp.int32(3)}
BATCH = jnp.ones((64, 32))
COUNT = 8


def forward(params, x):
    return jnp.tanh(jnp.tanh(x @ params["enc"]) @ params["dec"])


def loss(params, x):
    return jnp.mean(forward(params, x) ** 2)


def only(params, *names):
    return {name: params[name] for name in names}


def ours_partition(params, x):
    diff, rest = fad.partition(params, fad.select(params, "dec"))
    return forward(fad.combine(jax.tree.map(lambda w: 2 * w, diff), rest), x)


def plain_partition(params, x):
    return forward({**params, "dec": 2 * params["dec"]}, x)


def plain_gradient(*names):
    def run(params, x):
        return jax.value_and_grad(lambda d: loss({**params, **d}, x))(only(params, *names))

    return run


def ours_vjp(params, x):
    return fad.vjp(forward, params, x, cotangent=jnp.ones((64, 8)))


def plain_vjp(params, x):
    diff = only(params, "enc", "dec")
    y, pullback = jax.vjp(lambda d, x: forward({**params, **d}, x), diff, x)
    return y, pullback(jnp.ones((64, 8)))


def ours_no_grad(params, x):
    frozen = fad.no_grad(lambda p: jnp.tanh(x @ p["enc"]))
    return jax.grad(lambda d: jnp.sum((frozen({**params, **d}) @ d["dec"]) ** 2))(
        only(params, "enc", "dec")
    )


def plain_no_grad(params, x):
    def fun(d):
        return jnp.sum((lax.stop_gradient(jnp.tanh(x @ d["enc"])) @ d["dec"]) ** 2)

    return jax.grad(fun)(only(params, "enc", "dec"))


def ours_switch(params, x):
    with fad.set_grad_enabled(False):
        return loss(params, x)


def plain_accumulation(params, x):
    """The scan that one would write by hand, the batch taken in the same strided parts."""
    diff = only(params, "enc", "dec")
    parts = x.reshape(-1, COUNT, 32)

    def add(carry, _):
        i, sums = carry
        part = lax.dynamic_index_in_dim(parts, i, axis=1, keepdims=False)
        new = jax.value_and_grad(lambda d: loss({**params, **d}, part))(diff)
        return (i + 1, jax.tree.map(jnp.add, sums, new)), None

    zeros = (jnp.float32(0), jax.tree.map(jnp.zeros_like, diff))
    (_, sums), _ = lax.scan(add, (jnp.int32(0), zeros), length=COUNT)
    return jax.tree.map(lambda s: s / COUNT, sums)


def masked_loss(params, x):
    return jnp.sum(forward(params, x) ** 2) / count(x)


def count(x):
    return jnp.sum(x[:, 0])


def plain_weighted_accumulation(params, x):
    """By hand, with what keeps the NaN of an empty microbatch out: a select on each gradient."""
    diff = only(params, "enc", "dec")
    parts = x.reshape(-1, COUNT, 32)

    def add(carry, _):
        i, sums, total = carry
        part = lax.dynamic_index_in_dim(parts, i, axis=1, keepdims=False)
        new = jax.value_and_grad(lambda d: masked_loss({**params, **d}, part))(diff)
        weight = count(part)
        scaled = jax.tree.map(lambda g: jnp.where(weight == 0, 0.0, g * weight), new)
        return (i + 1, jax.tree.map(jnp.add, sums, scaled), total + weight), None

    zeros = (jnp.float32(0), jax.tree.map(jnp.zeros_like, diff))
    (_, sums, total), _ = lax.scan(add, (jnp.int32(0), zeros, jnp.float32(0)), length=COUNT)
    safe = jnp.where(total == 0, 1.0, total)
    return jax.tree.map(lambda s: s / safe, sums)


def tagged_loss(params, x):
    h = checkpoint_name(jnp.tanh(x @ params["enc"]), "h")
    return jnp.mean(jnp.tanh(h @ params["dec"]) ** 2)


def plain_intermediates(params, x):
    """Zeros as an argument, added to the value whose gradient is wanted."""

    def fun(diff, zero):
        h = jnp.tanh(x @ diff["enc"]) + zero
        return jnp.mean(jnp.tanh(h @ diff["dec"]) ** 2)

    value, grads = jax.value_and_grad(fun, (0, 1))(only(params, "enc", "dec"), jnp.zeros((64, 32)))
    return value, *grads


def ours_hvp(params, x):
    vector = {"enc": params["enc"], "dec": params["dec"], "step": None}
    return fad.hvp(lambda p: loss(p, x), (params,), (vector,))


def plain_hvp(params, x):
    diff = only(params, "enc", "dec")
    return jax.jvp(jax.grad(lambda d: loss({**params, **d}, x)), (diff,), (diff,))


def ours_ggnvp(params, x):
    vector = {"enc": params["enc"], "dec": params["dec"], "step": None}
    return fad.ggnvp(lambda p: forward(p, x), lambda z: jnp.mean(z**2), params, vector)


def plain_ggnvp(params, x):
    diff = only(params, "enc", "dec")
    model = lambda d: forward({**params, **d}, x)  # noqa: E731
    z, pullback = jax.vjp(model, diff)
    _, pushed = jax.jvp(model, (diff,), (diff,))
    return pullback(jax.jvp(jax.grad(lambda z: jnp.mean(z**2)), (z,), (pushed,))[1])


def through(mark):
    """The gradient of a loss whose hidden layer is marked."""

    def marked_loss(diff, x):
        return jnp.mean(jnp.tanh(mark(jnp.tanh(x @ diff["enc"])) @ diff["dec"]) ** 2)

    return lambda params, x: jax.grad(marked_loss)(only(params, "enc", "dec"), x)


@jax.custom_vjp
def clip_by_hand(x):
    return x


clip_by_hand.defvjp(lambda x: (x, None), lambda _, g: (jnp.clip(g, -1.0, 1.0),))


@jax.custom_vjp
def halve_by_hand(x):
    return x


halve_by_hand.defvjp(lambda x: (x, None), lambda _, g: (g * 0.5,))


PAIRS = {
    "select, partition, combine": (ours_partition, plain_partition),
    "value_and_grad": (fad.value_and_grad(loss), plain_gradient("enc", "dec")),
    "value_and_grad(where)": (fad.value_and_grad(loss, where="dec"), plain_gradient("dec")),
    "vjp": (ours_vjp, plain_vjp),
    "no_grad": (ours_no_grad, plain_no_grad),
    "set_grad_enabled": (ours_switch, loss),
    "accumulate_grads": (fad.accumulate_grads(loss, COUNT), plain_accumulation),
    "accumulate_grads(weight_fn)": (
        fad.accumulate_grads(masked_loss, COUNT, weight_fn=count),
        plain_weighted_accumulation,
    ),
    "intermediate_grads": (fad.intermediate_grads(tagged_loss), plain_intermediates),
    "hvp": (ours_hvp, plain_hvp),
    "ggnvp": (ours_ggnvp, plain_ggnvp),
    "grad_hook": (
        through(lambda h: fad.grad_hook(h, lambda g: jnp.clip(g, -1.0, 1.0))),
        through(clip_by_hand),
    ),
    "scale_grad": (through(lambda h: fad.scale_grad(h, 0.5)), through(halve_by_hand)),
}


def measure(fn):
    compiled = jax.jit(fn).lower(PARAMS, BATCH).compile()
    cost = compiled.cost_analysis()
    memory = compiled.memory_analysis().temp_size_in_bytes
    return {"flops": cost["flops"], "bytes": cost["bytes accessed"], "temporary": memory}


@pytest.mark.parametrize("name", PAIRS)
def test_costs_what_hand_written_jax_costs(name):
    ours, plain = PAIRS[name]
    assert measure(ours) == measure(plain)


def test_the_measure_notices_work_that_is_not_needed():
    """The comparison above is empty unless a second backward pass shows in it."""
    everything = measure(plain_gradient("enc", "dec"))
    last_layer = measure(plain_gradient("dec"))
    assert everything["flops"] > last_layer["flops"]
    assert everything["bytes"] > last_layer["bytes"]


def by_bias(b, params, x):
    return forward({**params, "dec": params["dec"] + b}, x[:2])


def mean_by_bias(b, params, x):
    return jnp.mean(by_bias(b, params, x) ** 2)


@pytest.mark.parametrize(
    ("ours", "plain"),
    [
        (fad.jacobian(by_bias, mode="rev"), jax.jacrev(by_bias)),
        (fad.jacobian(by_bias, mode="fwd"), jax.jacfwd(by_bias)),
        (fad.hessian(mean_by_bias), jax.hessian(mean_by_bias)),
    ],
    ids=["jacobian, reverse", "jacobian, forward", "hessian"],
)
def test_derivatives_in_full_do_no_more_flops_than_jaxs(ours, plain):
    """Their unit vectors are made in another way, with some flops less where they are no vectors.

    Their bytes may be a few more or less: forward mode keeps what `jax.jacfwd` computes as it goes.
    """
    done, asked = (
        measure(lambda params, x, fn=fn: fn(jnp.ones(8), params, x))["flops"]
        for fn in (ours, plain)
    )
    assert 0.98 * asked <= done <= asked


def test_clipping_does_what_the_formula_says():
    numbers = sum(PARAMS[name].size for name in ("enc", "dec"))
    clipped = measure(lambda params, x: fad.clip_by_norm(params, 1.0))["flops"]
    # A square, a sum, a product and a select for each number, and a few flops besides.
    assert 3 * numbers <= clipped <= 4 * numbers + 100

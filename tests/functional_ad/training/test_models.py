import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from functional_ad import first_nonfinite
from functional_ad.training import Config, MissingExtraError
from functional_ad.training._data import Dataset, Examples, load_data
from functional_ad.training._gradients import Batch, build_gradients
from functional_ad.training._loop import run_training
from functional_ad.training._models import build_model
from functional_ad.training._task import build_task

SMALL = {
    "mlp": {"hidden": 16, "layers": 2},
    "cnn": {"hidden": 16, "channels": 4},
    "transformer": {"layers": 2, "width": 16, "heads": 2, "hidden": 32, "context": 12},
}
NETWORKS = list(SMALL)


def make_config(model, **fields):
    if model != "linear":
        pytest.importorskip("flax", reason="needs flax")
    return Config.for_model(model, **{**SMALL.get(model, {}), "batch_size": 8, **fields})


@functools.cache
def load(name, context):
    if name == "digits":
        pytest.importorskip("sklearn")
    return load_data(name, context)


def take(config, count):
    """The first so many examples of a configuration's data, for training and test each."""
    data = load(config.data, config.context)
    first = jax.tree.map(lambda array: array[:count], tuple(data))
    return Dataset(*(Examples(*part) for part in first))


def make_batch(config, count=8):
    train = take(config, count).train
    return Batch(*(None if part is None else jnp.asarray(part) for part in train))


@pytest.fixture(params=NETWORKS)
def network(request):
    return request.param


def make_params(model, dtype=np.float32):
    """Parameters of a reasonable size, none of them 0: quicker to make than to compile `init`."""
    random = np.random.default_rng(0)

    def draw(leaf):
        fan_in = np.prod(leaf.shape[:-1], dtype=int)
        return random.normal(0.0, 0.7 / np.sqrt(min(fan_in, 50)), leaf.shape).astype(dtype)

    return jax.tree.map(draw, jax.eval_shape(model.init, jax.random.key(0)))


def compute(config, batch):
    """Loss and gradients."""
    task = build_task(config, 10)
    return jax.jit(build_gradients(task))(
        make_params(task.model), batch, jax.random.key(1), 0, None
    )


@functools.cache
def compute_first(config):
    """Loss and gradients of the first examples."""
    return compute(config, make_batch(config))


def norm(tree):
    return float(jnp.sqrt(sum(jnp.sum(leaf.astype(jnp.float32) ** 2) for leaf in tree)))


def compare(grads, wanted):
    """How far gradients are from others, as a share of their norm."""
    pairs = zip(jax.tree.leaves(grads), jax.tree.leaves(wanted), strict=True)
    return norm([a - b for a, b in pairs]) / norm(jax.tree.leaves(wanted))


def test_the_loss_goes_down_in_a_few_updates(network):
    config = make_config(network, epochs=8, learning_rate=0.03, microbatches=2, log_every=4)

    losses = [interval.loss for interval in run_training(config, take(config, 32)).intervals]

    assert losses[-1] < 0.8 * losses[0]


def list_paths(params):
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]


@pytest.mark.parametrize(
    ("model", "some"),
    [
        ("mlp", {"layers/0/kernel", "layers/1/bias", "head/kernel"}),
        ("cnn", {"conv1/kernel", "conv2/bias", "linear1/kernel", "linear2/bias"}),
        (
            "transformer",
            {
                "token_embedding/embedding",
                "position_embedding/embedding",
                "blocks/0/norm1/scale",
                "blocks/1/attention/in_proj/kernel",
                "blocks/1/attention/out_proj/bias",
                "blocks/0/linear2/kernel",
                "norm/bias",
                "head/kernel",
            },
        ),
    ],
)
def test_parameters_are_plain_dictionaries_named_as_in_pytorch(model, some):
    params = jax.eval_shape(build_model(make_config(model)).init, jax.random.key(0))

    assert some <= set(list_paths(params))
    assert {type(node) for node in (params, *params.values())} == {dict}
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}


def test_microbatches_give_the_whole_batchs_gradients_per_token():
    config = make_config("transformer")
    batch = make_batch(config)
    counts = jnp.array([12, 1, 0, 0, 5, 0, 0, 0])  # two of the four microbatches are empty
    batch = batch._replace(mask=jnp.arange(12) < counts[:, None])

    loss, grads = compute(config, batch)

    parts = compute(make_config("transformer", microbatches=4), batch)

    np.testing.assert_allclose(parts[0], loss, rtol=1e-6)
    assert compare(parts[1], grads) < 1e-6


def test_a_token_sees_those_before_it_only():
    config = make_config("transformer")
    model = build_model(config)
    params = make_params(model)
    tokens = np.arange(12)
    both = np.stack([tokens, np.where(tokens == 7, 0, tokens)])

    outputs = jax.jit(model.apply)(params, both, None)

    same = np.asarray(outputs[0] == outputs[1]).all(axis=-1)
    assert same.tolist() == [True] * 7 + [False] * 5


def test_a_block_is_pytorchs_encoder_layer():
    torch = pytest.importorskip("torch", reason="needs torch")
    config = make_config("transformer")
    model = build_model(config)
    params = make_params(model, np.float64)
    tokens = np.random.default_rng(0).integers(0, 256, (2, 12))
    with jax.enable_x64(True):
        got = np.asarray(jax.jit(model.apply)(params, tokens, None))

    def put(parameter, array):
        parameter.data = torch.tensor(array)

    def put_linear(module, leaves):
        put(module.weight, leaves["kernel"].T)
        put(module.bias, leaves["bias"])

    def put_norm(module, leaves):
        put(module.weight, leaves["scale"])
        put(module.bias, leaves["bias"])

    x = torch.tensor(params["token_embedding"]["embedding"])[torch.tensor(tokens)]
    x = x + torch.tensor(params["position_embedding"]["embedding"])
    mask = torch.nn.Transformer.generate_square_subsequent_mask(12, dtype=torch.float64)
    for number in range(2):
        leaves = params["blocks"][number]
        layer = torch.nn.TransformerEncoderLayer(
            16, 2, 32, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        put(layer.self_attn.in_proj_weight, leaves["attention"]["in_proj"]["kernel"].T)
        put(layer.self_attn.in_proj_bias, leaves["attention"]["in_proj"]["bias"])
        put_linear(layer.self_attn.out_proj, leaves["attention"]["out_proj"])
        for name in ("linear1", "linear2"):
            put_linear(getattr(layer, name), leaves[name])
        for name in ("norm1", "norm2"):
            put_norm(getattr(layer, name), leaves[name])
        x = layer(x, src_mask=mask)
    norm, head = torch.nn.LayerNorm(16), torch.nn.Linear(16, 256)
    put_norm(norm, params["norm"])
    put_linear(head, params["head"])

    np.testing.assert_allclose(got, head(norm(x)).detach().numpy(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("network", "dtype"), [("mlp", "bfloat16"), ("transformer", "bfloat16"), ("mlp", "float16")]
)
def test_half_precision_is_close_and_its_gradients_and_parameters_are_float32(network, dtype):
    _, wanted = compute_first(make_config(network))

    loss, grads = compute_first(make_config(network, compute_dtype=dtype))

    assert loss.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype("float32")}
    # A few units in the last place of the dtype, of what all layers round; and it is not float32.
    assert 1e-5 < compare(grads, wanted) < 8 * float(jnp.finfo(dtype).eps)


def test_what_is_computed_again_gives_the_same_gradients(network):
    config, plain = make_config(network, remat="full"), make_config(network)

    # Compiled in another order, sums may round differently.
    assert compare(compute_first(config)[1], compute_first(plain)[1]) < 1e-6


def count_products(config):
    task = build_task(config, 10)
    params = jax.eval_shape(task.model.init, jax.random.key(0))
    arguments = (params, make_batch(config), jax.random.key(0), 0, None)
    return str(jax.make_jaxpr(build_gradients(task))(*arguments)).count("= dot_general[")


def test_networks_on_a_cpu_have_the_forms_that_are_fast(network, monkeypatch):
    from functional_ad.training._models import _images, _products

    config = make_config(network)
    task = build_task(config, 10)
    arguments = (make_params(task.model), make_batch(config), jax.random.key(1), 0, None)
    text = str(jax.make_jaxpr(build_gradients(task))(*arguments))
    assert "conv_general_dilated" not in text
    assert "optimization_barrier" in text or network != "cnn"
    monkeypatch.setattr(_products, "are_fast", lambda *_: False)
    monkeypatch.setattr(_images, "are_fast", lambda *_: False)
    task = build_task(make_config(network), 10)
    plain = str(jax.make_jaxpr(build_gradients(task))(*arguments))
    assert ("conv_general_dilated" in plain) == (network == "cnn")
    assert plain != text
    # The same numbers, summed in another order.
    assert compare(jax.jit(build_gradients(task))(*arguments)[1], compute_first(config)[1]) < 1e-5


@pytest.mark.parametrize(("network", "layer"), [("mlp", "head"), ("cnn", "conv2")])
def test_nan_is_found_in_the_layer_and_not_in_what_layers_share(network, layer):
    config = make_config(network)
    model = build_model(config)
    params = make_params(model)
    params[layer]["kernel"] = np.full_like(params[layer]["kernel"], 3e38)
    inputs = make_batch(config).inputs

    found = first_nonfinite(lambda params: model.apply(params, inputs, None), params)

    assert f"_{network}.py:" in str(found)


def test_gelu_of_half_precision_is_pytorchs():
    torch = pytest.importorskip("torch", reason="needs torch")
    pytest.importorskip("flax", reason="needs flax")
    from functional_ad.training._models._transformer import _compute_gelu

    x = np.linspace(-5, 5, 101, dtype=np.float32)
    for dtype in ("bfloat16", "float16"):
        theirs = torch.nn.functional.gelu(torch.tensor(x).to(getattr(torch, dtype))).float()
        ours = np.asarray(_compute_gelu(jnp.asarray(x, dtype)).astype(jnp.float32))
        # A unit in the last place, of what is rounded once on each side.
        np.testing.assert_allclose(ours, theirs, rtol=float(jnp.finfo(dtype).eps), atol=1e-6)


def test_full_rematerialisation_computes_products_again_and_dots_keeps_them():
    none, full, dots, some = (
        count_products(make_config("transformer", remat=kind))
        for kind in ("none", "full", "dots", "dots_with_no_batch_dims")
    )

    assert dots == none
    assert none < some < full  # those of the attention, which have examples and heads


def test_dropout_is_drawn_anew_in_each_update_and_not_when_evaluating(network):
    config = make_config(network, dropout=0.5)
    task = build_task(config, 10)
    params, batch = make_params(task.model), make_batch(config)

    @jax.jit
    def compute_loss(step):
        key = jax.random.fold_in(jax.random.key(0), step)
        outputs = task.model.apply(params, batch.inputs, key)
        return jnp.mean(task.model.losses(outputs, batch.targets))

    first, again, other = (float(compute_loss(step)) for step in (0, 0, 1))

    assert first == again
    assert first != other
    plain = build_model(make_config(network))
    with_none, without = jax.jit(
        lambda: [model.apply(params, batch.inputs, None) for model in (task.model, plain)]
    )()
    np.testing.assert_array_equal(with_none, without)


def test_dropout_keeps_the_mean():
    pytest.importorskip("flax", reason="needs flax")
    from functional_ad.training._models._layers import drop

    kept = drop(0.25, jnp.ones(100_000), jax.random.key(0), 0)

    assert set(np.unique(kept)) == {0.0, np.float32(1 / 0.75)}
    np.testing.assert_allclose(np.mean(kept), 1.0, atol=0.01)


def test_a_network_without_flax_says_what_to_install(monkeypatch):
    ours = "functional_ad.training._models._"
    for name in [name for name in sys.modules if name.startswith(ours)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "flax", None)

    with pytest.raises(MissingExtraError, match=r"^flax is not installed: pip install"):
        build_model(Config.for_model("mlp"))


def run_updates(config, count=16):
    """The parameters before and after an epoch."""
    data = take(config, count)
    task = build_task(config, 10)
    before = jax.jit(task.model.init)(jax.random.split(jax.random.key(config.seed))[0])
    return before, run_training(config, data).params


def test_frozen_leaves_stay_as_they_are_to_the_last_bit():
    config = make_config("mlp", epochs=2, freeze=["layers/0", "*/bias"], weight_decay=0.5)

    before, after = run_updates(config)

    same = jax.tree.map(lambda a, b: a.tobytes() == b.tobytes(), before, after)
    paths = dict(zip(list_paths(after), jax.tree.leaves(same), strict=True))
    assert paths == {path: path.startswith("layers/0") or "bias" in path for path in paths}


def count_flops(**fields):
    config = make_config("mlp", hidden=64, layers=3, **fields)
    task = build_task(config, 10)
    params = jax.eval_shape(task.model.init, jax.random.key(0))
    arguments = params, make_batch(config), jax.random.key(0), 0, None
    return jax.jit(build_gradients(task)).lower(*arguments).compile().cost_analysis()["flops"]


def test_no_backward_pass_is_built_for_frozen_layers():
    pixels, hidden, examples = 64, 64, 8
    whole, frozen = count_flops(), count_flops(freeze=["layers/0", "layers/1"])

    # No gradients of two kernels, and none of what goes into them: the second's and third's input.
    saved = 2 * examples * (pixels * hidden + hidden * hidden) + 2 * 2 * examples * hidden * hidden
    assert saved <= whole - frozen < 1.1 * saved


def test_norms_of_the_gradients_of_hidden_values_are_told_of_one_microbatch():
    config = make_config("mlp", epochs=1, microbatches=2, log_intermediates=True)
    data = take(config, 8)

    result = run_training(config, data)

    model = build_model(config)
    x, y = data.train.inputs[::2], data.train.targets[::2]
    kernel, bias = (result.params["head"][name] for name in ("kernel", "bias"))
    hidden = jax.nn.relu(
        x @ result.params["layers"][0]["kernel"] + result.params["layers"][0]["bias"]
    )
    second = result.params["layers"][1]
    hidden = jax.nn.relu(hidden @ second["kernel"] + second["bias"])
    grad = jax.grad(lambda h: jnp.mean(model.losses(h @ kernel + bias, y)))(hidden)
    norms = result.intervals[0].intermediates
    assert list(norms) == ["layers/0", "layers/1"]
    np.testing.assert_allclose(norms["layers/1"], jnp.linalg.norm(grad), rtol=1e-5)

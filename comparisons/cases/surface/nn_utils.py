"""torch.nn.utils."""

import jax.numpy as jnp
import numpy as np
import optax
import torch
from jax.flatten_util import ravel_pytree
from torch.nn.utils import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
    parameters_to_vector,
    vector_to_parameters,
)

import functional_ad
from comparisons.cases.surface._row import (
    Row,
    list_names,
)

G = {
    "w": np.array([[0.5, -1.5], [2.0, 0.1]]),
    "b": np.array([-0.4, 1.3]),
}


def give_grads(grads):
    params = {
        name: torch.zeros_like(grad, requires_grad=True)
        for name, grad in grads.items()
    }
    for name, grad in grads.items():
        params[name].grad = grad.clone()
    return params


def clip_norm_torch(grads):
    params = give_grads(grads)
    norm = clip_grad_norm_(
        params.values(), max_norm=1.0
    )
    clipped = {k: p.grad for k, p in params.items()}
    return {"norm": norm, "clipped": clipped}


def clip_norm_jax(grads):
    clipped, norm, _ = functional_ad.clip_by_norm(
        grads, 1.0
    )
    return {"norm": norm, "clipped": clipped}


def inf_norm_torch(grads):
    params = give_grads(grads)
    norm = clip_grad_norm_(
        params.values(), 1.0, norm_type=torch.inf
    )
    clipped = {k: p.grad for k, p in params.items()}
    return {"norm": norm, "clipped": clipped}


def inf_norm_jax(grads):
    clipped, norm, _ = functional_ad.clip_by_norm(
        grads, 1.0, norm_type=jnp.inf
    )
    return {"norm": norm, "clipped": clipped}


def nonfinite_torch(grads):
    params = give_grads(grads)
    params["b"].grad.fill_(torch.inf)
    try:
        clip_grad_norm_(
            params.values(),
            1.0,
            error_if_nonfinite=True,
        )
        found = False
    except RuntimeError:
        found = True
    return {"found": found, "w": params["w"].grad}


def nonfinite_jax(grads):
    bad = jnp.full_like(grads["b"], jnp.inf)
    clipped, _, is_finite = functional_ad.clip_by_norm(
        {**grads, "b": bad}, 1.0
    )
    return {"found": ~is_finite, "w": clipped["w"]}


def with_norm_torch(grads):
    params = give_grads(grads)
    norm = get_total_norm(list(grads.values()))
    clip_grads_with_norm_(params.values(), 1.0, norm)
    return {k: p.grad for k, p in params.items()}


def with_norm_jax(grads):
    return functional_ad.clip_by_norm(grads, 1.0).grads


def clip_value_torch(grads):
    params = give_grads(grads)
    clip_grad_value_(params.values(), clip_value=1.0)
    return {k: p.grad for k, p in params.items()}


def clip_value_jax(grads):
    clip = optax.clip(1.0)
    clipped, _ = clip.update(grads, clip.init(grads))
    return clipped


def total_norm_torch(grads):
    return get_total_norm(list(grads.values()))


def total_norm_jax(grads):
    return optax.tree.norm(grads)


def to_vector_torch(params):
    leaves = [params["b"], params["w"]]
    return parameters_to_vector(leaves)


def to_vector_jax(params):
    # in the order of the tree: keys are sorted
    vector, _ = ravel_pytree(params)
    return vector


def to_parameters_torch(params):
    leaves = [params["b"].clone(), params["w"].clone()]
    vector = parameters_to_vector(leaves)
    vector_to_parameters(2 * vector, leaves)
    return {"b": leaves[0], "w": leaves[1]}


def to_parameters_jax(params):
    vector, unravel = ravel_pytree(params)
    return unravel(2 * vector)


UTILS = "torch.nn.utils."

# What is about parameters, not about gradients.
OTHERS = list_names(
    UTILS,
    "spectral_norm remove_weight_norm remove_spectral_norm fuse_conv_bn_eval "
    "fuse_conv_bn_weights fuse_linear_bn_eval fuse_linear_bn_weights skip_init "
    "convert_conv2d_weight_memory_format convert_conv3d_weight_memory_format "
    "parametrizations parametrize rnn stateless",
)

ROWS = (
    Row(
        UTILS + "clip_grad_norm_",
        "clipped, norm, is_finite = functional_ad.clip_by_norm(grads, max_norm)",
        "Returns what it clipped. `optax.clip_by_global_norm` keeps the norm to itself.",
        clip_norm_torch,
        clip_norm_jax,
        inputs=(G,),
    ),
    Row(
        UTILS + "clip_grad_norm_(norm_type=inf)",
        "functional_ad.clip_by_norm(grads, max_norm, norm_type=jnp.inf)",
        "Any norm, as in PyTorch.",
        inf_norm_torch,
        inf_norm_jax,
        inputs=(G,),
    ),
    Row(
        UTILS
        + "clip_grad_norm_(error_if_nonfinite=True)",
        "functional_ad.clip_by_norm(grads, max_norm).is_finite",
        "A flag, since compiled code cannot raise; the gradients stay as they are.",
        nonfinite_torch,
        nonfinite_jax,
        inputs=(G,),
    ),
    Row(
        UTILS + "clip_grads_with_norm_",
        "functional_ad.clip_by_norm(grads, max_norm).grads",
        "The norm is computed once, and comes with the result.",
        with_norm_torch,
        with_norm_jax,
        inputs=(G,),
    ),
    Row(
        UTILS + "clip_grad_value_",
        "optax.clip(max_delta)",
        "A gradient transformation: chain it before the optimizer.",
        clip_value_torch,
        clip_value_jax,
        inputs=(G,),
    ),
    Row(
        UTILS + "get_total_norm",
        "optax.tree.norm(grads)",
        "The norm of all leaves; in half precision its squares overflow: cast first.",
        total_norm_torch,
        total_norm_jax,
        inputs=(G,),
    ),
    Row(
        UTILS + "parameters_to_vector",
        "vector, unravel = jax.flatten_util.ravel_pytree(params)",
        "In the order of the tree (dictionaries by key); mixed dtypes are promoted.",
        to_vector_torch,
        to_vector_jax,
        inputs=(G,),
    ),
    Row(
        UTILS + "vector_to_parameters",
        "unravel(vector)",
        "What `ravel_pytree` returns beside the vector; it makes a new tree.",
        to_parameters_torch,
        to_parameters_jax,
        inputs=(G,),
    ),
    Row(
        UTILS + "clip_grad_norm",
        "",
        "Deprecated in PyTorch: see `clip_grad_norm_`.",
    ),
    Row(
        UTILS + "weight_norm",
        "",
        "Says how parameters are made or stored, which is no matter of autograd.",
        also=OTHERS,
    ),
)

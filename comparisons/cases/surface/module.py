"""torch.nn.Module."""

import jax
import jax.numpy as jnp
import numpy as np
import torch

import functional_ad
from comparisons.cases.surface._row import (
    Row,
    list_names,
)

X = np.array([[0.5, -1.5], [2.0, 0.1]])
P = {
    "weight": np.array([[0.6, -0.3], [0.2, 0.9]]),
    "bias": np.array([0.1, -0.2]),
}


def make_linear(params):
    linear = torch.nn.Linear(2, 2)
    linear.load_state_dict(params)
    return linear


def linear(params, x):
    return x @ params["weight"].T + params["bias"]


def requires_grad__torch(params, x):
    model = make_linear(params).to(x.dtype)
    model.requires_grad_(False)
    model.bias.requires_grad_(True)
    model(x).sin().sum().backward()
    return {
        k: p.grad for k, p in model.named_parameters()
    }


def requires_grad__jax(params, x):
    def fun(params):
        return jnp.sum(jnp.sin(linear(params, x)))

    return functional_ad.value_and_grad(
        fun, where="bias"
    )(params)[1]


def full_backward_torch(params, x):
    model = make_linear(params).to(x.dtype)
    model.register_full_backward_hook(
        lambda module, grad_input, grad_output: (
            grad_input[0].abs(),
        )
    )
    x.requires_grad_()
    model(x).sin().sum().backward()
    return x.grad


def full_backward_jax(params, x):
    def fun(x):
        x = functional_ad.grad_hook(x, jnp.abs)
        return jnp.sum(jnp.sin(linear(params, x)))

    return jax.grad(fun)(x)


def pre_hook_torch(params, x):
    model = make_linear(params).to(x.dtype)
    model.register_full_backward_pre_hook(
        lambda module, grad: (grad[0].clamp(-0.5, 0.5),)
    )
    x.requires_grad_()
    model(x).exp().sum().backward()
    return model.weight.grad


def pre_hook_jax(params, x):
    def fun(params):
        y = functional_ad.grad_hook(
            linear(params, x),
            lambda grad: jnp.clip(grad, -0.5, 0.5),
        )
        return jnp.sum(jnp.exp(y))

    return jax.grad(fun)(params)["weight"]


def forward_hook_torch(params, x):
    model = make_linear(params).to(x.dtype)
    seen = []
    model.register_forward_hook(
        lambda module, args, y: seen.append(y)
    )
    model(x).sin().sum().backward()
    return {"y": seen[0], "grad": model.weight.grad}


def forward_hook_jax(params, x):
    def fun(params):
        y = linear(params, x)
        return jnp.sum(jnp.sin(y)), y

    grads, y = jax.grad(fun, has_aux=True)(params)
    return {"y": y, "grad": grads["weight"]}


def forward_pre_torch(params, x):
    model = make_linear(params).to(x.dtype)
    model.register_forward_pre_hook(
        lambda module, args: (args[0] - args[0].mean(),)
    )
    return model(x)


def forward_pre_jax(params, x):
    def before(x):
        return x - jnp.mean(x)

    return linear(params, before(x))


MODULE = "torch.nn.Module."
PAGE = "generated/torch.nn.Module.html#" + MODULE

ROWS = (
    Row(
        MODULE + "requires_grad_",
        "functional_ad.value_and_grad(fun, where=...)(params)",
        'By path or pattern, e.g. `where="encoder/*/bias"`; frozen leaves get `None`.',
        requires_grad__torch,
        requires_grad__jax,
        inputs=(P, X),
        page=PAGE + "requires_grad_",
    ),
    Row(
        MODULE + "register_full_backward_hook",
        "x = functional_ad.grad_hook(x, fn)",
        "A hook on what goes in; what it changes is what flows on.",
        full_backward_torch,
        full_backward_jax,
        inputs=(P, X),
        page=PAGE + "register_full_backward_hook",
    ),
    Row(
        MODULE + "register_full_backward_pre_hook",
        "y = functional_ad.grad_hook(y, fn)",
        "A hook on what comes out.",
        pre_hook_torch,
        pre_hook_jax,
        inputs=(P, X),
        page=PAGE + "register_full_backward_pre_hook",
    ),
    Row(
        MODULE + "register_forward_hook",
        "jax.grad(fun, has_aux=True)(params)",
        "Return what you want to see; flax's `sow` and `nnx` captures do so for a model.",
        forward_hook_torch,
        forward_hook_jax,
        inputs=(P, X),
        page=PAGE + "register_forward_hook",
    ),
    Row(
        MODULE + "register_forward_pre_hook",
        "apply(params, before(x))",
        "Compose the functions.",
        forward_pre_torch,
        forward_pre_jax,
        inputs=(P, X),
        page=PAGE + "register_forward_pre_hook",
    ),
    Row(
        MODULE + "zero_grad",
        "",
        "Every gradient is a new value.",
        page=PAGE + "zero_grad",
    ),
    Row(
        MODULE + "register_backward_hook",
        "",
        "Deprecated in PyTorch: see `register_full_backward_hook`.",
        page=PAGE + "register_backward_hook",
    ),
    Row(
        MODULE + "register_state_dict_pre_hook",
        "",
        "Parameters are a tree: change it before you save it, or after you restored it.",
        also=list_names(
            MODULE + "register_",
            "state_dict_post_hook load_state_dict_pre_hook load_state_dict_post_hook",
        ),
        page=PAGE + "register_state_dict_pre_hook",
    ),
    Row(
        "torch.nn.modules.module.register_module_full_backward_hook",
        "",
        "No list of all modules: a hook is put where it is wanted, with `functional_ad.grad_hook`.",
        also=list_names(
            "torch.nn.modules.module.register_module_",
            "backward_hook full_backward_pre_hook forward_hook forward_pre_hook "
            "buffer_registration_hook module_registration_hook parameter_registration_hook",
        ),
    ),
)

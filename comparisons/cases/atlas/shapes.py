"""Shapes and padding."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op

OPS = (
    Op(
        "reshape",
        "torch.reshape(x, (2, 6))",
        "jnp.reshape(x, (2, 6))",
        samples={"ordinary": "normal(3, 4)"},
    ),
    Op(
        "transpose",
        "torch.transpose(x, 0, 1)",
        "jnp.swapaxes(x, 0, 1)",
        samples={"ordinary": "normal(3, 4)"},
    ),
    Op(
        "permute",
        "torch.permute(x, (2, 0, 1))",
        "jnp.transpose(x, (2, 0, 1))",
        samples={"ordinary": "normal(2, 3, 4)"},
    ),
    Op(
        "movedim",
        "torch.movedim(x, 0, 2)",
        "jnp.moveaxis(x, 0, 2)",
        samples={"ordinary": "normal(2, 3, 4)"},
    ),
    Op("flatten", "torch.flatten(x)", "jnp.ravel(x)", samples={"ordinary": "normal(2, 3)"}),
    Op("squeeze", "torch.squeeze(x)", "jnp.squeeze(x)", samples={"ordinary": "normal(2, 1, 3)"}),
    Op(
        "unsqueeze",
        "torch.unsqueeze(x, 1)",
        "jnp.expand_dims(x, 1)",
        samples={"ordinary": "normal(2, 3)"},
    ),
    Op(
        "cat",
        "torch.cat((x, y), 1)",
        "jnp.concatenate((x, y), 1)",
        args="x y",
        samples={
            "ordinary": "normal(2, 3), normal(2, 1)",
            "edges: empty": "normal(2, 3), normal(2, 0)",
        },
    ),
    Op(
        "stack",
        "torch.stack((x, y), 1)",
        "jnp.stack((x, y), 1)",
        args="x y",
        samples={"ordinary": "normal(2, 3), normal(2, 3)"},
    ),
    Op(
        "split",
        "torch.split(x, 2)",
        "tuple(jnp.split(x, [2, 4]))",
        samples={"ordinary": "normal(5, 2)"},
    ),
    Op(
        "chunk",
        "torch.chunk(x, 2)",
        "tuple(jnp.array_split(x, 2))",
        samples={"ordinary": "normal(5, 2)"},
    ),
    Op(
        "unbind",
        "torch.unbind(x)",
        "tuple(x)",
        samples={"ordinary": "normal(3, 2)"},
        jax_page="jax.numpy.unstack",
    ),
    Op(
        "expand",
        "x.expand(3, 4)",
        "jnp.broadcast_to(x, (3, 4))",
        samples={"ordinary": "normal(4)"},
        torch_page="torch.Tensor.expand",
    ),
    Op(
        "repeat",
        "x.repeat(2, 3)",
        "jnp.tile(x, (2, 3))",
        samples={"ordinary": "normal(2, 3)"},
        torch_page="torch.Tensor.repeat",
    ),
    Op(
        "repeat_interleave",
        "torch.repeat_interleave(x, 2, 1)",
        "jnp.repeat(x, 2, 1)",
        samples={"ordinary": "normal(2, 3)"},
    ),
    Op(
        "flip", "torch.flip(x, (0, 1))", "jnp.flip(x, (0, 1))", samples={"ordinary": "normal(2, 3)"}
    ),
    Op("roll", "torch.roll(x, 2, 1)", "jnp.roll(x, 2, 1)", samples={"ordinary": "normal(2, 3)"}),
    Op("rot90", "torch.rot90(x)", "jnp.rot90(x)", samples={"ordinary": "normal(2, 3)"}),
    Op(
        "tril",
        "torch.tril(x)",
        "jnp.tril(x)",
        samples={"ordinary": "normal(3, 4)", "nonfinite: NaN": "array([[1., nan], [nan, 1.]])"},
    ),
    Op("triu", "torch.triu(x, 1)", "jnp.triu(x, 1)", samples={"ordinary": "normal(3, 4)"}),
    Op(
        "diag",
        "torch.diag(x)",
        "jnp.diag(x)",
        samples={"ordinary": "normal(3)", "ordinary: a matrix": "normal(3, 4)"},
    ),
    Op(
        "diagonal",
        "torch.diagonal(x, 1)",
        "jnp.diagonal(x, 1)",
        samples={"ordinary": "normal(3, 4)"},
    ),
    Op(
        "diag_embed",
        "torch.diag_embed(x)",
        "jax.vmap(jnp.diag)(x)",
        samples={"ordinary": "normal(2, 3)"},
    ),
    Op(
        "meshgrid",
        "torch.meshgrid(x, y, indexing='ij')",
        "tuple(jnp.meshgrid(x, y, indexing='ij'))",
        args="x y",
        samples={"ordinary": "normal(2), normal(3)"},
    ),
    Op(
        "unfold",
        "x.unfold(0, 3, 2)",
        "jnp.stack([x[i:i + 3] for i in range(0, x.shape[0] - 2, 2)])",
        samples={"ordinary": "normal(7)"},
        torch_page="torch.Tensor.unfold",
        jax_page="jax.numpy.stack",
    ),
    Op(
        "pad",
        "F.pad(x, (1, 2))",
        "jnp.pad(x, ((0, 0), (1, 2)))",
        samples={"ordinary": "normal(2, 3)"},
    ),
    Op(
        "pad(reflect)",
        "F.pad(x, (1, 2), mode='reflect')",
        "jnp.pad(x, ((0, 0), (1, 2)), mode='reflect')",
        samples={"ordinary": "normal(2, 4)"},
    ),
    Op(
        "pad(replicate)",
        "F.pad(x, (1, 2), mode='replicate')",
        "jnp.pad(x, ((0, 0), (1, 2)), mode='edge')",
        samples={"ordinary": "normal(2, 4)"},
    ),
    Op(
        "pad(circular)",
        "F.pad(x, (1, 2), mode='circular')",
        "jnp.pad(x, ((0, 0), (1, 2)), mode='wrap')",
        samples={"ordinary": "normal(2, 4)"},
    ),
)

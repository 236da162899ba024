"""Indexing, scattering and embedding."""

from __future__ import annotations

from comparisons.cases.atlas._op import JAX_DOCS, TORCH_DOCS, Op, Remark

FILLS = "JAX gives NaN there, with gradient 0."
CLAMPS = "JAX takes the nearest element, and loses the gradient (see x[i], clamped)."
DROPS = "JAX drops it: nothing is written, and its gradient is 0."

# Traps: indices of a gather and of a scatter that are out of bounds, and places that are written to
# twice.
FALLS = "(y < 0) | (y > np.subtract(x.shape, p['slice_sizes'])[list(p['dimension_numbers'].start_index_map)])"
LEAVES = "(y < 0) | (y >= np.take(x.shape, p['dimension_numbers'].scatter_dims_to_operand_dims))"
DUPLICATES = (
    "(len(np.unique(y.reshape(-1, y.shape[-1]), axis=0)) < y[..., 0].size)"
    " & (not p['dimension_numbers'].operand_batching_dims)"
)


def _say_out_of_bounds(what_jax_does: str) -> Remark:
    return Remark(
        text=f"An index that is out of bounds raises in PyTorch (on a CPU); {what_jax_does}",
        axes=("edges",),
        link=f"{JAX_DOCS}jax.Array.at.html",
    )


def _say_duplicates(name: str, call: str, link: str) -> Remark:
    return Remark(
        text="Where two elements are written to one place, the last stays, and the derivative by the"
        f" other is 0, as in JAX; torch.{name} gives both the gradient of the place. PyTorch's"
        " documentation warns of such indices.",
        axes=("edges",),
        quantities=("vjp",),
        wrong="PyTorch",
        link=link,
        repro="import torch\n"
        "x, i = torch.zeros(2), torch.tensor([1, 1])\n"
        "y = torch.tensor([5.0, 7.0], requires_grad=True)\n"
        f"{call}[1].backward()  # the value is that of y[1]\n"
        "print(y.grad.tolist())  # [1.0, 1.0]; true: [0.0, 1.0]",
    )


OPS = (
    Op(
        "gather",
        "torch.gather(x, 1, i.long())",
        "jnp.take_along_axis(x, i, 1)",
        args="x i",
        samples={
            "ordinary": "normal(3, 4), ints(4, 3, 2)",
            "edges: duplicates": "normal(2, 3), array([[1, 1], [0, 0]])",
            "edges: out of bounds": "normal(2, 3), array([[3], [0]])",
        },
        remarks=(_say_out_of_bounds(FILLS),),
    ),
    Op(
        "take_along_dim",
        "torch.take_along_dim(x, i.long(), 1)",
        "jnp.take_along_axis(x, i, 1)",
        args="x i",
        samples={
            "ordinary": "normal(3, 4), ints(4, 3, 2)",
            "edges: negative": "normal(2, 3), array([[-1], [0]])",
            "edges: out of bounds": "normal(2, 3), array([[3], [0]])",
        },
        torch_like="jnp.take_along_axis(x, i % x.shape[1], 1)",
        remarks=(
            Remark(
                text="An index that is out of bounds begins again at 0 in torch.take_along_dim, which does"
                " not raise (a remainder makes negative ones positive); JAX gives NaN there.",
                axes=("edges",),
                quantities=("value", "vjp", "jvp"),
            ),
        ),
    ),
    Op(
        "index_select",
        "torch.index_select(x, 1, i)",
        "jnp.take(x, i, 1)",
        args="x i",
        samples={
            "ordinary": "normal(3, 4), ints(4, 3)",
            "edges: duplicates": "normal(2, 3), array([1, 1])",
            "edges: empty": "normal(2, 3), ints(3, 0)",
            "edges: negative": "normal(2, 3), array([-1])",
            "edges: out of bounds": "normal(2, 3), array([3])",
        },
        remarks=(
            _say_out_of_bounds(FILLS),
            Remark(
                text="A negative index raises in torch.index_select and torch.gather; JAX counts it from"
                " the end.",
                axes=("edges",),
            ),
        ),
    ),
    Op(
        "x[i]",
        "x[i.long()]",
        "x[i]",
        args="x i",
        samples={
            "ordinary": "normal(4, 3), ints(4, 3)",
            "edges: duplicates": "normal(3, 2), array([1, 1])",
            "edges: negative": "normal(3, 2), array([-1])",
            "edges: out of bounds": "normal(3, 2), array([3])",
        },
        remarks=(
            _say_out_of_bounds(CLAMPS + " jnp.take, and x.at[i].get(mode='fill'), give NaN."),
        ),
        seen_as="gather",
        trap=FALLS,
        torch_page="torch.Tensor.index_select",
        jax_page="jax.Array.at",
    ),
    Op(
        "x[i], clamped",
        "x[i.long().clamp(max=x.shape[0] - 1)]",
        "x[i]",
        args="x i",
        samples={
            "ordinary": "normal(4, 3), ints(4, 3)",
            "edges: out of bounds": "normal(3, 2), array([3, 0])",
        },
        torch_like="x[jnp.clip(i, max=x.shape[0] - 1)]",
        remarks=(
            Remark(
                text="For an index that is out of bounds JAX takes the nearest element, in the value and"
                " forward; in reverse the gradient is dropped: x[i] promises that i is in bounds.",
                axes=("edges",),
                quantities=("vjp",),
                wrong="JAX",
                link="https://github.com/jax-ml/jax/issues/5760",
                repro="import jax, jax.numpy as jnp\n"
                "last = lambda x: x[jnp.array([3])].sum()  # x[2], for three elements\n"
                "print(jax.grad(last)(jnp.ones(3)))  # [0. 0. 0.]; true: [0. 0. 1.]",
            ),
        ),
        torch_page="torch.Tensor.index_select",
        jax_page="jax.Array.at",
    ),
    Op(
        "take",
        "torch.take(x, i.long())",
        "jnp.take(x, i)",
        args="x i",
        samples={
            "ordinary": "normal(4, 3), ints(12, 3)",
            "edges: out of bounds": "normal(3), array([3])",
        },
        remarks=(_say_out_of_bounds(FILLS),),
    ),
    Op(
        "masked_select's sum",
        "torch.masked_select(x, x > 0).sum()",
        "jnp.sum(jnp.where(x > 0, x, 0))",
        samples={"ordinary": "normal(3, 4)"},
    ),
    Op(
        "masked_fill",
        "torch.masked_fill(x, x > 0, 2.0)",
        "jnp.where(x > 0, 2.0, x)",
        samples={"ordinary": "normal(3, 4)", "nonfinite: NaN": "array([nan, 1., -1.])"},
        torch_page="torch.Tensor.masked_fill",
    ),
    Op(
        "scatter",
        "torch.scatter(x, 1, i.long(), y)",
        "jnp.put_along_axis(x, i, y, 1, inplace=False)",
        args="x i y",
        samples={
            "ordinary": "normal(2, 4), array([[0, 2], [3, 1]]), normal(2, 2)",
            "edges: duplicates": "normal(2, 3), array([[1, 1], [0, 0]]), normal(2, 2)",
        },
        remarks=(
            _say_duplicates(
                "scatter", "torch.scatter(x, 0, i, y)", f"{TORCH_DOCS}torch.Tensor.scatter_.html"
            ),
        ),
    ),
    Op(
        "scatter_add",
        "torch.scatter_add(x, 1, i.long(), y)",
        "x.at[jnp.arange(x.shape[0])[:, None], i].add(y)",
        args="x i y",
        samples={
            "ordinary": "normal(2, 4), array([[0, 2], [3, 1]]), normal(2, 2)",
            "edges: duplicates": "normal(2, 3), array([[1, 1], [0, 0]]), normal(2, 2)",
        },
        jax_page="jax.Array.at",
    ),
    Op(
        "scatter_reduce(prod)",
        "torch.scatter_reduce(x, 0, i.long(), y, 'prod')",
        "x.at[i].mul(y)",
        args="x i y",
        samples={
            "ordinary": "normal(4), array([0, 2]), normal(2)",
            "edges: duplicates": "normal(3), array([1, 1]), normal(2)",
        },
        remarks=(
            Remark(
                text="JAX has derivatives of a product into places only for x.at[i].mul(y,"
                " unique_indices=True), where no place comes twice; otherwise it raises.",
                axes=("ordinary", "edges"),
                quantities=("vjp", "jvp", "hvp"),
            ),
            Remark(
                text="PyTorch's forward mode has no rule for 'prod', and gives 0 in place of an error; its"
                " reverse mode is right.",
                axes=("modes",),
                quantities=("jvp",),
                wrong="PyTorch",
                link="https://github.com/pytorch/pytorch/issues/196702",
                repro="import torch\n"
                "x, y, i = torch.tensor([2.0]), torch.tensor([3.0]), torch.tensor([0])\n"
                "multiply = lambda x: torch.scatter_reduce(x, 0, i, y, 'prod')\n"
                "print(torch.func.jvp(multiply, (x,), (torch.ones(1),))[1].item())  # 0.0; true: 3.0",
            ),
        ),
        jax_page="jax.Array.at",
    ),
    Op(
        "scatter_reduce(amax)",
        "torch.scatter_reduce(x, 0, i.long(), y, 'amax')",
        "x.at[i].max(y)",
        args="x i y",
        samples={
            "ordinary": "normal(4), array([0, 2]), normal(2)",
            "edges: duplicates": "array([0., 1., 2.]), array([1, 1]), array([3., 3.])",
            "edges: ties": "array([1., 1.]), array([0, 1]), array([1., 0.])",
        },
        jax_page="jax.Array.at",
    ),
    Op(
        "index_add",
        "torch.index_add(x, 0, i, y)",
        "x.at[i].add(y)",
        args="x i y",
        samples={
            "ordinary": "normal(4, 2), array([0, 2]), normal(2, 2)",
            "edges: duplicates": "normal(3, 2), array([1, 1]), normal(2, 2)",
        },
        jax_page="jax.Array.at",
    ),
    Op(
        "index_copy",
        "torch.index_copy(x, 0, i.long(), y)",
        "x.at[i].set(y)",
        args="x i y",
        samples={
            "ordinary": "normal(4, 2), array([0, 2]), normal(2, 2)",
            "edges: duplicates": "normal(3, 2), array([1, 1]), normal(2, 2)",
        },
        remarks=(
            _say_duplicates(
                "index_copy",
                "torch.index_copy(x, 0, i, y)",
                f"{TORCH_DOCS}torch.Tensor.index_copy_.html",
            ),
        ),
        jax_page="jax.Array.at",
    ),
    Op(
        "index_fill",
        "torch.index_fill(x, 0, i.long(), 3.0)",
        "x.at[i].set(3.0)",
        args="x i",
        samples={
            "ordinary": "normal(4, 2), array([0, 2])",
            "edges: duplicates": "normal(3, 2), array([1, 1])",
        },
        jax_page="jax.Array.at",
    ),
    Op(
        "index_put",
        "torch.index_put(x, (i.long(),), y)",
        "x.at[i].set(y)",
        args="x i y",
        samples={
            "ordinary": "normal(4), array([0, 2]), normal(2)",
            "edges: duplicates": "normal(3), array([1, 1]), array([5., 7.])",
            "edges: out of bounds": "normal(3), array([0, 3]), array([5., 7.])",
        },
        remarks=(
            _say_duplicates(
                "index_put",
                "torch.index_put(x, (i,), y)",
                f"{TORCH_DOCS}torch.Tensor.index_put_.html",
            ),
            _say_out_of_bounds(DROPS),
        ),
        seen_as="scatter",
        trap=f"{DUPLICATES} | np.any({LEAVES})",
        torch_page="torch.Tensor.index_put",
        jax_page="jax.Array.at",
    ),
    Op(
        "index_put(accumulate)",
        "torch.index_put(x, (i.long(),), y, accumulate=True)",
        "x.at[i].add(y)",
        args="x i y",
        samples={
            "ordinary": "normal(4), array([0, 2]), normal(2)",
            "edges: duplicates": "normal(3), array([1, 1]), array([5., 7.])",
            "edges: out of bounds": "normal(3), array([0, 3]), array([5., 7.])",
        },
        remarks=(_say_out_of_bounds(DROPS),),
        seen_as="scatter-add",
        trap=LEAVES,
        torch_page="torch.Tensor.index_put",
        jax_page="jax.Array.at",
    ),
    Op(
        "select_scatter",
        "torch.select_scatter(x, y, 0, 1)",
        "x.at[1].set(y)",
        args="x y",
        samples={"ordinary": "normal(3, 4), normal(4)"},
        jax_page="jax.Array.at",
    ),
    Op(
        "slice_scatter",
        "torch.slice_scatter(x, y, 0, 1, 3)",
        "x.at[1:3].set(y)",
        args="x y",
        samples={"ordinary": "normal(4, 2), normal(2, 2)"},
        jax_page="jax.Array.at",
    ),
    Op(
        "diagonal_scatter",
        "torch.diagonal_scatter(x, y)",
        "jnp.fill_diagonal(x, y, inplace=False)",
        args="x y",
        samples={"ordinary": "normal(3, 3), normal(3)"},
    ),
    Op(
        "one_hot",
        "F.one_hot(i.long(), 4)",
        "nn.one_hot(i, 4, dtype=int)",
        args="i",
        orders=("value",),
        samples={"ordinary": "ints(4, 3)", "edges: out of bounds": "array([4])"},
        remarks=(
            Remark(
                text="A class that is out of bounds raises in PyTorch; JAX's row is all zeros.",
                axes=("edges",),
                link=f"{TORCH_DOCS}torch.nn.functional.one_hot.html",
            ),
        ),
    ),
    Op(
        "embedding",
        "F.embedding(i, x)",
        "x[i]",
        args="x i",
        samples={
            "ordinary": "normal(5, 3), ints(5, 4)",
            "edges: duplicates": "normal(3, 2), array([1, 1])",
            "edges: out of bounds": "normal(3, 2), array([3])",
        },
        remarks=(_say_out_of_bounds(CLAMPS),),
        jax_page="jax.numpy.take",
    ),
    Op(
        "embedding(padding_idx)",
        "F.embedding(i, x, padding_idx=1)",
        "x[i]",
        args="x i",
        samples={
            "ordinary": "normal(5, 3), array([0, 2, 3])",
            "ordinary: the padding": "normal(3, 2), array([1, 2])",
        },
        jax_page="jax.numpy.take",
        torch_like="jnp.where((i == 1)[:, None], lax.stop_gradient(x[i]), x[i])",
        remarks=(
            Remark(
                text="PyTorch's gradient by the row of padding_idx is 0, so that padding is not trained;"
                " x[i] knows of no padding.",
                axes=("ordinary",),
                quantities=("vjp",),
                link=f"{TORCH_DOCS}torch.nn.functional.embedding.html",
            ),
            Remark(
                text="PyTorch's forward mode knows of no padding: it has the derivative that its reverse"
                " mode leaves out.",
                axes=("modes",),
                quantities=("jvp",),
                wrong="PyTorch",
                repro="import torch\n"
                "f = lambda x: torch.nn.functional.embedding(torch.tensor([0]), x, padding_idx=0)\n"
                "x = torch.ones(1, 1, requires_grad=True)\n"
                "forward = torch.func.jvp(f, (x,), (torch.ones(1, 1),))[1].item()\n"
                "print(forward, torch.autograd.grad(f(x).sum(), x)[0].item())"
                "  # 1.0 0.0; true: twice the same",
            ),
        ),
    ),
    Op(
        "embedding_bag(mean)",
        "F.embedding_bag(i, x)",
        "jnp.mean(x[i], 1)",
        args="x i",
        samples={"ordinary": "normal(5, 3), ints(5, 2, 4)"},
        remarks=(
            Remark(
                text="PyTorch has a gradient of embedding_bag only: no forward mode.",
                axes=("ordinary",),
                quantities=("jvp",),
            ),
        ),
    ),
)

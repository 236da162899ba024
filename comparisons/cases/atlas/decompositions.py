"""Decompositions."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark
from comparisons.cases.atlas.linear_algebra import NO_BFLOAT16, SINGULAR, tell_of_raising

# The lower triangle twice, with the gradient of both halves.
LOWER = "x + lax.stop_gradient(jnp.tril(x) + jnp.tril(x, -1).T - x)"
IS_NOT_SYMMETRIC = "x != np.swapaxes(x, -1, -2)"

READS_ONE_TRIANGLE = Remark(
    text="Of a matrix that is not symmetric PyTorch reads the lower triangle, JAX the mean of both;"
    " the gradients of both are for symmetric ones, half in each triangle.",
    axes=("ordinary",),
)

OPS = (
    Op(
        "cholesky",
        "linalg.cholesky((x + x.mT) / 2)",
        "jnp.linalg.cholesky(x)",
        samples={
            "ordinary": "positive(3, 3)",
            "edges: not positive definite": "array([[1., 2.], [2., 1.]])",
        },
        seen_as="cholesky",
        trap="np.linalg.eigvalsh((x + np.swapaxes(x, -1, -2)) / 2)[..., 0] <= 0",
        remarks=(NO_BFLOAT16, tell_of_raising("if the matrix is not positive definite", "NaN")),
    ),
    Op(
        "cholesky, one triangle is read",
        "linalg.cholesky(x)",
        "jnp.linalg.cholesky(x)",
        samples={"ordinary: not symmetric": "positive(3, 3) + np.triu(np.ones((3, 3)), 1) / 8"},
        torch_like=f"jnp.linalg.cholesky({LOWER})",
        seen_as="cholesky",
        trap=IS_NOT_SYMMETRIC,
        remarks=(
            NO_BFLOAT16,
            READS_ONE_TRIANGLE,
            Remark(
                text="PyTorch's reverse mode takes the matrix to be symmetric, and gives each triangle"
                " half; its forward mode reads the lower triangle, as the values do.",
                axes=("ordinary", "modes"),
                quantities=("jvp",),
                wrong="PyTorch",
                link="https://github.com/pytorch/pytorch/issues/18825",
                repro="import torch\n"
                "x = torch.eye(2, requires_grad=True)\n"
                "torch.linalg.cholesky(x)[1, 0].backward()  # it is x[1, 0] / sqrt(x[0, 0])\n"
                'print(f"{x.grad[1, 0].item():.3g}")  # 0.5; true: 1',
            ),
        ),
    ),
    Op(
        "cholesky_solve",
        "torch.cholesky_solve(y, torch.linalg.cholesky((x + x.mT) / 2))",
        "jsp.linalg.cho_solve((jnp.linalg.cholesky(x), True), y)",
        args="x y",
        samples={"ordinary": "positive(3, 3), normal(3, 2)"},
        remarks=(NO_BFLOAT16,),
    ),
    Op(
        "qr",
        "tuple(linalg.qr(x))",
        "tuple(jnp.linalg.qr(x))",
        samples={
            "ordinary": "normal(4, 3)",
            "ordinary: square": "normal(3, 3)",
            "edges: rank-deficient": SINGULAR,
        },
        remarks=(
            NO_BFLOAT16,
            Remark(
                text="Both solve with R: if it is singular all derivatives are NaN, even those of elements"
                " that have one, as the length of the first column.",
                axes=("edges",),
                quantities=("jvp",),
                wrong="both",
                repro="import jax, jax.numpy as jnp\n"
                "x = jnp.ones((2, 2))\n"
                "gradient = jax.grad(lambda x: abs(jnp.linalg.qr(x)[1][0, 0]))(x)\n"
                'print(f"{gradient[0, 0]:.3g}")  # nan; true: 0.707',
            ),
        ),
    ),
    Op(
        "eigvalsh",
        "linalg.eigvalsh((x + x.mT) / 2)",
        "jnp.linalg.eigvalsh(x)",
        samples={"ordinary": "symmetric(4, 4)", "edges: repeated eigenvalues": "np.eye(3)"},
        remarks=(NO_BFLOAT16,),
    ),
    Op(
        "eigvalsh, one triangle is read",
        "linalg.eigvalsh(x)",
        "jnp.linalg.eigvalsh(x)",
        samples={"ordinary: not symmetric": "symmetric(3, 3) + np.triu(np.ones((3, 3)), 1)"},
        torch_like=f"jnp.linalg.eigvalsh({LOWER})",
        seen_as="eigvalsh",
        trap=IS_NOT_SYMMETRIC,
        remarks=(NO_BFLOAT16, READS_ONE_TRIANGLE),
    ),
    Op(
        "eigh, the projectors",
        "(lambda e: (e[0], (e[1][:, :1] @ e[1][:, :1].mT)))(linalg.eigh((x + x.mT) / 2))",
        "(lambda e: (e[0], (e[1][:, :1] @ e[1][:, :1].T)))(jnp.linalg.eigh(x))",
        samples={
            "ordinary": "symmetric(4, 4)",
            "edges: repeated eigenvalues": "np.diag([1., 1., 2.])",
        },
        remarks=(NO_BFLOAT16,),
    ),
    Op(
        "eigh, one triangle is read",
        "linalg.eigh(x)[0]",
        "jnp.linalg.eigh(x)[0]",
        samples={"ordinary: not symmetric": "symmetric(3, 3) + np.triu(np.ones((3, 3)), 1)"},
        orders=("value", "vjp"),
        torch_like=f"jnp.linalg.eigh({LOWER})[0]",
        remarks=(NO_BFLOAT16, READS_ONE_TRIANGLE),
        seen_as="eigh",
        trap=IS_NOT_SYMMETRIC,
    ),
    Op(
        "eigh, a function of the matrix",
        "(lambda e: (e[1] * torch.exp(e[0])) @ e[1].mT)(linalg.eigh((x + x.mT) / 2))",
        "(lambda e: (e[1] * jnp.exp(e[0])) @ e[1].T)(jnp.linalg.eigh(x))",
        samples={"ordinary": "symmetric(3, 3)", "edges: repeated": "np.diag([1., 1., 2.])"},
        orders=("value", "vjp", "jvp"),
        remarks=(
            NO_BFLOAT16,
            Remark(
                text="At equal eigenvalues both divide by their difference, 0, and give NaN, though this"
                " function has a derivative there.",
                axes=("edges",),
                wrong="both",
                link="https://github.com/jax-ml/jax/issues/669",
                repro="import jax, jax.numpy as jnp\n"
                "def add_up(w, v):\n"
                "    return jnp.sum((v * w) @ v.T)  # the sum of the matrix itself\n"
                "gradient = jax.grad(lambda x: add_up(*jnp.linalg.eigh(x)))(jnp.eye(2))\n"
                'print(f"{gradient[0, 0]:.3g}")  # nan; true: 1',
            ),
        ),
    ),
    Op(
        "svd, the polar factor",
        "(lambda s: s[0] @ s[2])(linalg.svd(x, full_matrices=False))",
        "(lambda s: s[0] @ s[2])(jnp.linalg.svd(x, full_matrices=False))",
        samples={"ordinary": "normal(3, 3)", "edges: repeated": "np.diag([2., 2., 1.])"},
        orders=("value", "vjp", "jvp"),
        remarks=(
            NO_BFLOAT16,
            Remark(
                text="At equal singular values both divide by their difference, 0, and give NaN, though"
                " this function has a derivative there.",
                axes=("edges",),
                wrong="both",
                link="https://github.com/jax-ml/jax/issues/2311",
                repro="import torch\n"
                "x = torch.eye(2, requires_grad=True)\n"
                "u, s, v = torch.linalg.svd(x)\n"
                "torch.sum((u * s) @ v).backward()  # the sum of the matrix itself\n"
                'print(f"{x.grad[0, 0].item():.3g}")  # nan; true: 1',
            ),
        ),
    ),
    Op(
        "eigvals, sorted by size",
        "torch.sort(torch.abs(linalg.eigvals(x))).values",
        "jnp.sort(jnp.abs(jnp.linalg.eigvals(x)))",
        samples={"ordinary": "positive(3, 3) + np.triu(np.ones((3, 3)), 1) / 4"},
        remarks=(
            NO_BFLOAT16,
            Remark(
                text="JAX refuses derivatives of eigenvectors, which the second one of eigenvalues is made"
                " of: jax.lax.linalg.eig has enable_eigvec_derivs for it.",
                axes=("ordinary",),
                quantities=("hvp",),
                dtypes=("float64", "float32"),
                link="https://docs.jax.dev/en/latest/_autosummary/jax.lax.linalg.eig.html",
            ),
        ),
    ),
    Op(
        "svdvals",
        "linalg.svdvals(x)",
        "jnp.linalg.svd(x, compute_uv=False)",
        samples={
            "ordinary": "normal(4, 3)",
            "edges: repeated": "np.eye(3)",
            "edges: rank-deficient": SINGULAR,
            "edges: zeros": "np.zeros((2, 2))",
        },
        remarks=(NO_BFLOAT16,),
    ),
    Op(
        "svd, the projectors",
        "(lambda s: (s[1], s[0][:, :1] @ s[2][:1]))(linalg.svd(x, full_matrices=False))",
        "(lambda s: (s[1], s[0][:, :1] @ s[2][:1]))(jnp.linalg.svd(x, full_matrices=False))",
        samples={"ordinary": "normal(4, 3)", "edges: repeated": "np.diag([2., 2., 1.])"},
        remarks=(NO_BFLOAT16,),
    ),
    Op(
        "svd(full_matrices=True), values",
        "linalg.svd(x, full_matrices=True)[1]",
        "jnp.linalg.svd(x, full_matrices=True)[1]",
        samples={"ordinary": "normal(4, 3)"},
        remarks=(
            NO_BFLOAT16,
            Remark(
                text="JAX has no derivative of the singular value decomposition with full matrices, not"
                " even of the values; full_matrices=False has one.",
                axes=("ordinary",),
                quantities=("vjp", "jvp", "hvp"),
                dtypes=("float64", "float32"),
                link="https://github.com/jax-ml/jax/issues/508",
            ),
        ),
    ),
    Op(
        "lu_factor",
        "linalg.lu_factor(x)[0]",
        "jsp.linalg.lu_factor(x)[0]",
        samples={"ordinary": "normal(3, 3)"},
        remarks=(NO_BFLOAT16,),
    ),
    Op(
        "householder_product",
        "linalg.householder_product(x, y)",
        "lax.linalg.householder_product(x, y)",
        args="x y",
        samples={"ordinary": "normal(4, 2), array([0.5, 0.25])"},
        remarks=(
            NO_BFLOAT16,
            Remark(
                text="JAX has no derivative of it; jax.numpy.linalg.qr, which uses it, has its own.",
                axes=("ordinary",),
                quantities=("vjp", "jvp", "hvp"),
                dtypes=("float64", "float32"),
            ),
        ),
    ),
)

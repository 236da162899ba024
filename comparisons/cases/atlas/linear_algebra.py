"""Linear algebra."""

from __future__ import annotations

from comparisons.cases.atlas._op import Op, Remark

SINGULAR = "array([[1., 1.], [1., 1.]])"
IS_SINGULAR = "np.linalg.det(x) == 0"

NO_BFLOAT16 = Remark(
    text="Both leave this to LAPACK, which has no bfloat16, and raise: convert to float32 before.",
    dtypes=("bfloat16",),
)
NO_BFLOAT16_IN_PYTORCH = Remark(
    text="PyTorch leaves this to LAPACK, which has no bfloat16, and raises; JAX computes it.",
    dtypes=("bfloat16",),
)


def tell_of_raising(when: str, instead: str) -> Remark:
    """Of what PyTorch raises for, and JAX cannot."""
    return Remark(
        text=f"PyTorch raises LinAlgError {when}. JAX, which cannot while a program runs, gives"
        f" {instead}.",
        axes=("edges",),
    )


OPS = (
    Op(
        "matmul",
        "torch.matmul(x, y)",
        "jnp.matmul(x, y)",
        args="x y",
        samples={
            "ordinary": "normal(3, 4), normal(4, 2)",
            "ordinary: a batch": "normal(2, 3, 4), normal(4, 2)",
            "edges: an empty sum": "normal(2, 0), normal(0, 3)",
            "nonfinite: NaN": "array([[nan, 1.]]), array([[0.], [1.]])",
        },
    ),
    Op(
        "bmm",
        "torch.bmm(x, y)",
        "jnp.matmul(x, y)",
        args="x y",
        samples={"ordinary": "normal(2, 3, 4), normal(2, 4, 2)"},
    ),
    Op(
        "mv",
        "torch.mv(x, y)",
        "jnp.matmul(x, y)",
        args="x y",
        samples={"ordinary": "normal(3, 4), normal(4)"},
    ),
    Op(
        "dot",
        "torch.dot(x, y)",
        "jnp.dot(x, y)",
        args="x y",
        samples={"ordinary": "normal(5), normal(5)"},
    ),
    Op(
        "vdot, complex",
        "torch.vdot(x, y)",
        "jnp.vdot(x, y)",
        args="x y",
        samples={"ordinary": "complex(5), complex(5)"},
    ),
    Op(
        "outer",
        "torch.outer(x, y)",
        "jnp.outer(x, y)",
        args="x y",
        samples={"ordinary": "normal(3), normal(4)"},
    ),
    Op(
        "cross",
        "linalg.cross(x, y)",
        "jnp.cross(x, y)",
        args="x y",
        samples={"ordinary": "normal(2, 3), normal(2, 3)"},
    ),
    Op(
        "kron",
        "torch.kron(x, y)",
        "jnp.kron(x, y)",
        args="x y",
        samples={"ordinary": "normal(2, 3), normal(3, 2)"},
    ),
    Op(
        "addmm",
        "torch.addmm(x, y, z, beta=0.5, alpha=2)",
        "0.5 * x + 2 * (y @ z)",
        args="x y z",
        samples={"ordinary": "normal(2, 2), normal(2, 3), normal(3, 2)"},
        jax_page="jax.numpy.matmul",
    ),
    Op(
        "baddbmm",
        "torch.baddbmm(x, y, z)",
        "x + y @ z",
        args="x y z",
        samples={"ordinary": "normal(2, 2, 2), normal(2, 2, 3), normal(2, 3, 2)"},
        jax_page="jax.numpy.matmul",
    ),
    Op(
        "multi_dot",
        "linalg.multi_dot((x, y, z))",
        "jnp.linalg.multi_dot((x, y, z))",
        args="x y z",
        samples={"ordinary": "normal(2, 3), normal(3, 4), normal(4, 2)"},
    ),
    Op(
        "matrix_power(3)",
        "linalg.matrix_power(x, 3)",
        "jnp.linalg.matrix_power(x, 3)",
        samples={"ordinary": "normal(3, 3)"},
    ),
    Op(
        "matrix_power(-1)",
        "linalg.matrix_power(x, -1)",
        "jnp.linalg.matrix_power(x, -1)",
        samples={"ordinary": "positive(3, 3)"},
        remarks=(NO_BFLOAT16,),
    ),
    Op("trace", "torch.trace(x)", "jnp.trace(x)", samples={"ordinary": "normal(3, 3)"}),
    Op(
        "det",
        "linalg.det(x)",
        "jnp.linalg.det(x)",
        samples={
            "ordinary": "normal(3, 3)",
            "edges: singular": SINGULAR,
            "edges: rank 1 of 3": "np.diag([1., 0., 0.])",
        },
        seen_as="det",
        trap=IS_SINGULAR,
        remarks=(
            NO_BFLOAT16_IN_PYTORCH,
            Remark(
                text="Of a singular matrix PyTorch's gradient is det(x) * inv(x).T with det(x) = 0, and so"
                " 0, unless create_graph=True; JAX gives the cofactors, as it should be.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
                wrong="PyTorch",
                link="https://github.com/pytorch/pytorch/issues/104675",
                repro="import torch\n"
                "x = torch.ones(2, 2, requires_grad=True)\n"
                "torch.linalg.det(x).backward()\n"
                'print(f"{x.grad[0, 0].item():.3g}")  # 0; true: 1',
            ),
            Remark(
                text="Where the rank is less by two or more PyTorch's second derivative is NaN.",
                axes=("edges",),
                quantities=("hvp",),
                wrong="PyTorch",
                repro="import torch\n"
                "x = torch.diag(torch.tensor([1.0, 0.0, 0.0])).requires_grad_()\n"
                "(g,) = torch.autograd.grad(torch.linalg.det(x), x, create_graph=True)\n"
                "(h,) = torch.autograd.grad(g[1, 1], x)  # of x[0, 0] * x[2, 2] - x[0, 2] * x[2, 0]\n"
                'print(f"{h[2, 2].item():.3g}")  # nan; true: 1',
            ),
        ),
    ),
    Op(
        "slogdet",
        "linalg.slogdet(x)[1]",
        "jnp.linalg.slogdet(x)[1]",
        samples={"ordinary": "normal(3, 3)", "edges: singular": SINGULAR},
        remarks=(
            NO_BFLOAT16,
            Remark(
                text="The logarithms of the factors are added: near a determinant of 1 or -1 they cancel,"
                " and the error is one of theirs.",
                axes=("ordinary",),
                quantities=("value",),
                dtypes=("float32",),
            ),
            Remark(
                text="For the second derivative PyTorch solves with the matrix, and raises if it is"
                " singular; JAX gives NaN.",
                axes=("edges",),
                quantities=("hvp",),
            ),
        ),
    ),
    Op(
        "logdet",
        "torch.logdet(x)",
        "jnp.linalg.slogdet(x)[1]",
        samples={
            "ordinary": "4 * positive(3, 3)",
            "edges: a negative determinant": "array([[0., 2.], [2., 0.]])",
            "edges: singular": SINGULAR,
        },
        orders=("value", "vjp", "jvp"),
        torch_like="(lambda s: jnp.where(s[0] < 0, nan, s[1]))(jnp.linalg.slogdet(x))",
        remarks=(
            NO_BFLOAT16,
            Remark(
                text="Of a negative determinant PyTorch's logdet is NaN; slogdet has the logarithm of its"
                " absolute value in both.",
                axes=("edges",),
                quantities=("value", "vjp", "jvp"),
            ),
        ),
        torch_page="torch.logdet",
    ),
    Op(
        "inv",
        "linalg.inv(x)",
        "jnp.linalg.inv(x)",
        samples={"ordinary": "positive(3, 3)", "edges: singular": SINGULAR},
        seen_as="inv",
        trap=IS_SINGULAR,
        remarks=(NO_BFLOAT16, tell_of_raising("if the matrix is singular", "infinities and NaN")),
    ),
    Op(
        "pinv",
        "linalg.pinv(x)",
        "jnp.linalg.pinv(x)",
        samples={"ordinary": "normal(4, 3)", "edges: rank-deficient": SINGULAR},
        remarks=(
            NO_BFLOAT16,
            Remark(
                text="Where the rank is not full the pseudo-inverse jumps, and its derivative holds for"
                " changes that keep the rank only; a second one depends on how the first is written.",
                axes=("edges",),
                quantities=("hvp",),
            ),
        ),
    ),
    Op(
        "solve",
        "linalg.solve(x, y)",
        "jnp.linalg.solve(x, y)",
        args="x y",
        samples={
            "ordinary": "positive(3, 3), normal(3, 2)",
            "edges: singular": f"{SINGULAR}, array([[1.], [2.]])",
        },
        seen_as="solve",
        trap=IS_SINGULAR,
        remarks=(NO_BFLOAT16, tell_of_raising("if the matrix is singular", "infinities and NaN")),
    ),
    Op(
        "solve_triangular",
        "linalg.solve_triangular(x, y, upper=False)",
        "jsp.linalg.solve_triangular(x, y, lower=True)",
        args="x y",
        samples={
            "ordinary": "positive(3, 3), normal(3, 2)",
            "edges: a zero on the diagonal": "array([[1., 0.], [1., 0.]]), array([[1.], [2.]])",
        },
        remarks=(NO_BFLOAT16_IN_PYTORCH,),
    ),
    Op(
        "lstsq",
        "linalg.lstsq(x, y).solution",
        "jnp.linalg.lstsq(x, y)[0]",
        args="x y",
        samples={"ordinary": "normal(5, 3), normal(5, 2)"},
        remarks=(NO_BFLOAT16,),
    ),
    Op(
        "matrix_exp",
        "linalg.matrix_exp(x)",
        "jsp.linalg.expm(x)",
        samples={"ordinary": "normal(3, 3)", "edges: zeros": "np.zeros((2, 2))"},
        remarks=(Remark(text="JAX's expm takes no bfloat16, and raises.", dtypes=("bfloat16",)),),
    ),
    Op(
        "matrix_norm('nuc')",
        "linalg.matrix_norm(x, 'nuc')",
        "jnp.linalg.norm(x, 'nuc')",
        samples={"ordinary": "normal(4, 3)", "edges: rank-deficient": SINGULAR},
        remarks=(NO_BFLOAT16,),
    ),
    Op(
        "matrix_norm(2)",
        "linalg.matrix_norm(x, 2)",
        "jnp.linalg.norm(x, 2)",
        samples={"ordinary": "normal(4, 3)", "edges: repeated": "np.eye(2)"},
        remarks=(NO_BFLOAT16,),
    ),
    Op(
        "matrix_norm(1)",
        "linalg.matrix_norm(x, 1)",
        "jnp.linalg.norm(x, 1)",
        samples={"ordinary": "normal(4, 3)", "edges: ties": "np.eye(2)"},
        torch_like="jnp.max(jnp.sum(x * lax.stop_gradient(jnp.sign(x)), 0))",
        remarks=(
            Remark(
                text="At elements of 0 PyTorch's derivative of abs is 0, JAX's 1; columns whose sums are"
                " equal share the gradient in both.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
        ),
    ),
    Op(
        "cond",
        "linalg.cond(x)",
        "jnp.linalg.cond(x)",
        samples={"ordinary": "positive(3, 3)"},
        remarks=(NO_BFLOAT16,),
    ),
    Op(
        "vander",
        "linalg.vander(x)",
        "jnp.vander(x, increasing=True)",
        samples={"ordinary": "normal(4)", "edges: zero": "array([0., 1.])"},
        torch_like="jnp.stack([x**k for k in range(x.shape[0])], -1)",
        seen_as="vander",
        trap="x == 0",
        remarks=(
            NO_BFLOAT16_IN_PYTORCH,
            Remark(
                text="At 0 JAX's derivative of x ** 0 is 0 * 0 ** -1, NaN: its exponents are an array."
                " Whole numbers as exponents, as below, have the right one.",
                axes=("edges",),
                wrong="JAX",
                link="https://github.com/jax-ml/jax/issues/12409",
                repro="import jax\n"
                "import jax.numpy as jnp\n"
                "f = lambda x: jnp.vander(x, increasing=True).sum()\n"
                'print(f"{jax.grad(f)(jnp.array([0.0, 1.0]))[0]:.3g}")  # nan; true: 1',
            ),
        ),
    ),
    Op("cov", "torch.cov(x)", "jnp.cov(x)", samples={"ordinary": "normal(3, 6)"}),
    Op(
        "corrcoef",
        "torch.corrcoef(x)",
        "jnp.corrcoef(x)",
        samples={
            "ordinary": "normal(3, 6)",
            "edges: a constant row": "array([[1., 1., 1.], [1., 2., 4.]])",
        },
        remarks=(
            Remark(
                text="The correlation of a constant row is 0 / 0, NaN. PyTorch's forward mode gives it 0,"
                " as its clip passes no tangent on where the value is NaN.",
                axes=("edges",),
                quantities=("jvp",),
            ),
        ),
    ),
    Op(
        "tensorinv",
        "linalg.tensorinv(x, ind=1)",
        "jnp.linalg.tensorinv(x, 1)",
        samples={"ordinary": "positive(4, 4).reshape(4, 2, 2)"},
        remarks=(NO_BFLOAT16,),
    ),
    Op(
        "tensorsolve",
        "linalg.tensorsolve(x, y)",
        "jnp.linalg.tensorsolve(x, y)",
        args="x y",
        samples={"ordinary": "positive(4, 4).reshape(4, 2, 2), normal(4)"},
        remarks=(NO_BFLOAT16,),
    ),
    Op(
        "tensordot",
        "torch.tensordot(x, y, 1)",
        "jnp.tensordot(x, y, 1)",
        args="x y",
        samples={"ordinary": "normal(2, 3), normal(3, 4)"},
    ),
    Op(
        "einsum",
        "torch.einsum('bij,bjk->bik', x, y)",
        "jnp.einsum('bij,bjk->bik', x, y)",
        args="x y",
        samples={"ordinary": "normal(2, 3, 4), normal(2, 4, 2)"},
    ),
)

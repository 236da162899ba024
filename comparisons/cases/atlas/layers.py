"""Layers."""

from __future__ import annotations

from comparisons.cases.atlas._op import TORCH_DOCS, Op, Remark

NORM = (
    "(x - jnp.mean(x, {axes}, keepdims=True)) / jnp.sqrt(jnp.var(x, {axes}, keepdims=True) + 1e-5)"
)
CONV = "lax.conv_general_dilated(x, w, {strides}, {padding}{more})"
POOL_MAX = "lax.reduce_window(x, -inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), 'VALID')"
POOL_SUM = "lax.reduce_window(x, 0.0, lax.add, (1, 1, 2, 2), (1, 1, 2, 2), 'VALID')"
SQUARES = POOL_SUM.replace("(x,", "(x * x,")
IMAGE = "normal(2, 3, 6, 6)"
# The elements of 2 x 2 windows, and of each the first of the greatest.
WINDOWS = "x.reshape(*x.shape[:2], x.shape[2] // 2, 2, -1, 2).swapaxes(3, 4).reshape(*x.shape[:2], x.shape[2] // 2, -1, 4)"
FIRST_OF_WINDOWS = (
    f"(lambda w: jnp.take_along_axis(w, jnp.argmax(w, -1, keepdims=True), -1)[..., 0])({WINDOWS})"
)
# PyTorch's cubic kernel as the matrix of a row of 4 pixels, with 2 more at each end, made 8.
CUBIC = "(lambda d: jnp.where(d < 1, (1.25 * d - 2.25) * d * d + 1, jnp.where(d < 2, ((3.75 - 0.75 * d) * d - 6) * d + 3, 0)))(jnp.abs((jnp.arange(8)[:, None] + 0.5) / 2 - 0.5 - jnp.arange(-2, 6))).astype(x.dtype)"


def _resize(
    name: str,
    options: str,
    shape: str,
    jax_options: str,
    torch_like: str = "",
    remark: Remark | None = None,
) -> Op:
    return Op(
        name,
        f"F.interpolate(x, {options})",
        f"jax.image.resize(x, {shape}, {jax_options})",
        samples={"ordinary": "normal(1, 2, 4, 4)"},
        torch_like=torch_like,
        remarks=(remark,) if remark else (),
    )


OPS = (
    Op(
        "batch_norm, training",
        "F.batch_norm(x, None, None, training=True)",
        NORM.format(axes="(0,)"),
        samples={
            "ordinary": "normal(6, 3)",
            "edges: constant": "array([[1.], [1.]])",
            "edges: one row": "array([[1., 2.]])",
        },
        jax_page="jax.numpy.var",
        remarks=(
            Remark(
                text="For a single row PyTorch raises while training; in JAX all of it is normalised to 0.",
                axes=("edges",),
            ),
        ),
    ),
    Op(
        "batch_norm",
        "F.batch_norm(x, m, v)",
        "(x - m) / jnp.sqrt(v + 1e-5)",
        args="x m v",
        samples={"ordinary": "normal(6, 3), normal(3), uniform(0.5, 2, 3)"},
        orders=("value",),
        jax_page="jax.numpy.sqrt",
    ),
    Op(
        "layer_norm",
        "F.layer_norm(x, (4,))",
        NORM.format(axes="-1"),
        samples={
            "ordinary": "normal(3, 4)",
            "edges: constant": "array([[1., 1., 1., 1.]])",
            "edges: size 1": "array([[2., 2., 2., 2.]])",
        },
        jax_page="jax.nn.standardize",
    ),
    Op(
        "layer_norm, affine",
        "F.layer_norm(x, (4,), w, b)",
        NORM.format(axes="-1") + " * w + b",
        args="x w b",
        samples={"ordinary": "normal(3, 4), normal(4), normal(4)"},
        jax_page="jax.nn.standardize",
    ),
    Op(
        "group_norm",
        "F.group_norm(x, 2)",
        "(lambda g: ((g - g.mean((2, 3), keepdims=True)) / jnp.sqrt(g.var((2, 3), keepdims=True) + 1e-5)).reshape(x.shape))(x.reshape(2, 2, 2, 3))",
        samples={"ordinary": "normal(2, 4, 3)"},
        jax_page="jax.numpy.var",
    ),
    Op(
        "instance_norm",
        "F.instance_norm(x)",
        NORM.format(axes="-1"),
        samples={"ordinary": "normal(2, 3, 5)"},
        jax_page="jax.nn.standardize",
    ),
    Op(
        "rms_norm",
        "F.rms_norm(x, (4,), eps=1e-5)",
        "x / jnp.sqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-5)",
        samples={"ordinary": "normal(3, 4)", "edges: zeros": "array([[0., 0., 0., 0.]])"},
        jax_page="jax.numpy.mean",
    ),
    Op(
        "standardize",
        "F.layer_norm(x, (4,), eps=1e-5)",
        "nn.standardize(x)",
        samples={"ordinary": "normal(3, 4)"},
    ),
    Op(
        "local_response_norm",
        "F.local_response_norm(x, 3)",
        "x / (1.0 + 1e-4 * lax.reduce_window(jnp.pad(x * x, ((0, 0), (1, 1), (0, 0))), 0.0, lax.add, (1, 3, 1), (1, 1, 1), 'VALID') / 3) ** 0.75",
        samples={"ordinary": "normal(2, 5, 3)"},
    ),
    Op(
        "linear",
        "F.linear(x, w, b)",
        "x @ w.T + b",
        args="x w b",
        samples={"ordinary": "normal(3, 4), normal(2, 4), normal(2)"},
        jax_page="jax.numpy.matmul",
    ),
    Op(
        "bilinear",
        "F.bilinear(x, y, w)",
        "jnp.einsum('bi,oij,bj->bo', x, w, y)",
        args="x y w",
        samples={"ordinary": "normal(3, 2), normal(3, 4), normal(5, 2, 4)"},
    ),
    Op(
        "conv1d",
        "F.conv1d(x, w)",
        CONV.format(strides="(1,)", padding="'VALID'", more=""),
        args="x w",
        samples={"ordinary": "normal(2, 3, 8), normal(4, 3, 3)"},
    ),
    Op(
        "conv2d",
        "F.conv2d(x, w)",
        CONV.format(strides="(1, 1)", padding="'VALID'", more=""),
        args="x w",
        samples={"ordinary": "normal(2, 3, 5, 5), normal(4, 3, 3, 3)"},
    ),
    Op(
        "conv2d(padding='same')",
        "F.conv2d(x, w, padding='same')",
        CONV.format(strides="(1, 1)", padding="'SAME'", more=""),
        args="x w",
        samples={
            "ordinary": "normal(1, 2, 5, 5), normal(2, 2, 3, 3)",
            "edges: an even kernel": "normal(1, 1, 4, 4), normal(1, 1, 2, 2)",
        },
    ),
    Op(
        "conv2d(stride=2, padding=1)",
        "F.conv2d(x, w, stride=2, padding=1)",
        CONV.format(strides="(2, 2)", padding="[(1, 1), (1, 1)]", more=""),
        args="x w",
        samples={"ordinary": "normal(1, 2, 6, 6), normal(2, 2, 3, 3)"},
    ),
    Op(
        "conv2d(stride=2, padding=1), 'SAME'",
        "F.conv2d(x, w, stride=2, padding=1)",
        CONV.format(strides="(2, 2)", padding="'SAME'", more=""),
        args="x w",
        samples={"ordinary": "normal(1, 2, 6, 6), normal(2, 2, 3, 3)"},
        torch_like=CONV.format(strides="(2, 2)", padding="[(1, 1), (1, 1)]", more=""),
        remarks=(
            Remark(
                text="JAX's 'SAME' pads as little as the stride needs, here 0 before and 1 after;"
                " PyTorch's padding=1 is 1 at both ends, and its windows are others.",
                axes=("ordinary",),
                link="https://docs.jax.dev/en/latest/_autosummary/jax.lax.conv_general_dilated.html",
            ),
        ),
    ),
    Op(
        "conv2d(dilation=2)",
        "F.conv2d(x, w, dilation=2)",
        CONV.format(strides="(1, 1)", padding="'VALID'", more=", rhs_dilation=(2, 2)"),
        args="x w",
        samples={"ordinary": "normal(1, 2, 6, 6), normal(2, 2, 3, 3)"},
    ),
    Op(
        "conv2d(groups=2)",
        "F.conv2d(x, w, groups=2)",
        CONV.format(strides="(1, 1)", padding="'VALID'", more=", feature_group_count=2"),
        args="x w",
        samples={"ordinary": "normal(1, 4, 5, 5), normal(4, 2, 3, 3)"},
    ),
    Op(
        "conv3d",
        "F.conv3d(x, w)",
        CONV.format(strides="(1, 1, 1)", padding="'VALID'", more=""),
        args="x w",
        samples={"ordinary": "normal(1, 2, 4, 4, 4), normal(2, 2, 2, 2, 2)"},
    ),
    Op(
        "conv_transpose1d",
        "F.conv_transpose1d(x, w)",
        "lax.conv_transpose(x, w, (1,), 'VALID', dimension_numbers=('NCH', 'OIH', 'NCH'), transpose_kernel=True)",
        args="x w",
        samples={"ordinary": "normal(2, 3, 6), normal(3, 4, 3)"},
    ),
    Op(
        "conv_transpose1d, as JAX has it by default",
        "F.conv_transpose1d(x, w)",
        "lax.conv_transpose(x, w, (1,), 'VALID', dimension_numbers=('NCH', 'IOH', 'NCH'))",
        args="x w",
        samples={"ordinary": "normal(2, 3, 6), normal(3, 4, 3)"},
        torch_like="lax.conv_transpose(x, w, (1,), 'VALID', dimension_numbers=('NCH', 'OIH', 'NCH'), transpose_kernel=True)",
        remarks=(
            Remark(
                text="JAX does not flip the kernel by default; transpose_kernel=True flips it and swaps its"
                " channels, which makes it the gradient of a convolution, as PyTorch's is.",
                axes=("ordinary",),
                link="https://docs.jax.dev/en/latest/_autosummary/jax.lax.conv_transpose.html",
            ),
        ),
    ),
    Op(
        "conv_transpose2d(stride=2)",
        "F.conv_transpose2d(x, w, stride=2)",
        "lax.conv_transpose(x, w, (2, 2), 'VALID', dimension_numbers=('NCHW', 'OIHW', 'NCHW'), transpose_kernel=True)",
        args="x w",
        samples={"ordinary": "normal(1, 3, 3, 3), normal(3, 2, 3, 3)"},
    ),
    Op(
        "max_pool2d",
        "F.max_pool2d(x, 2)",
        POOL_MAX,
        samples={
            "ordinary": "distinct(1, 2, 4, 4)",
            "edges: ties": "array([[[[1., 1.], [0., 1.]]]])",
            "nonfinite: NaN": "array([[[[1., nan], [0., 1.]]]])",
        },
        torch_like=FIRST_OF_WINDOWS,
        seen_as="reduce_window_max",
        trap="np.isnan(x)",
        remarks=(
            Remark(
                text="Of a window with a NaN PyTorch's gradient goes to the NaN, JAX's to the last"
                " element: it looks for the greatest by >=, which is false of NaN.",
                axes=("nonfinite",),
                quantities=("vjp", "jvp"),
            ),
        ),
    ),
    Op("avg_pool2d", "F.avg_pool2d(x, 2)", f"{POOL_SUM} / 4", samples={"ordinary": IMAGE}),
    Op(
        "lp_pool2d",
        "F.lp_pool2d(x, 2, 2)",
        f"jnp.sqrt({SQUARES})",
        samples={"ordinary": IMAGE, "edges: zeros": "np.zeros((1, 1, 2, 2))"},
        torch_like=f"(lambda s: jnp.where(s > 0, jnp.sqrt(jnp.where(s > 0, s, 1.0)), 0.0))({SQUARES})",
        remarks=(
            Remark(
                text="Of zeros PyTorch's gradient is 0, as its documentation says; the derivative of"
                " the root is infinite there, and inf * 0 is NaN.",
                axes=("edges",),
                quantities=("vjp", "hvp"),
                wrong="JAX",
                link=TORCH_DOCS + "torch.nn.LPPool2d.html",
                repro="import jax\n"
                "import jax.numpy as jnp\n"
                "gradient = jax.grad(lambda x: jnp.sqrt(jnp.sum(x * x)))(jnp.zeros(4))\n"
                'print(f"{gradient[0]:.3g}")  # nan; true: from -1 to 1',
            ),
        ),
    ),
    Op(
        "adaptive_avg_pool2d",
        "F.adaptive_avg_pool2d(x, 2)",
        "x.reshape(2, 3, 2, 3, 2, 3).mean((3, 5))",
        samples={"ordinary": IMAGE},
        jax_page="jax.numpy.mean",
    ),
    Op(
        "adaptive_max_pool2d",
        "F.adaptive_max_pool2d(x, 2)",
        "x.reshape(1, 1, 2, 2, 2, 2).max((3, 5))",
        samples={"ordinary": "distinct(1, 1, 4, 4)", "edges: ties": "np.ones((1, 1, 4, 4))"},
        torch_like=FIRST_OF_WINDOWS,
        remarks=(
            Remark(
                text="Of equal elements PyTorch gives the first the whole gradient, jnp.max each its"
                " share; lax.reduce_window does as PyTorch, see max_pool2d.",
                axes=("edges",),
                quantities=("vjp", "jvp"),
            ),
        ),
        jax_page="jax.numpy.max",
    ),
    _resize("interpolate(nearest), up", "scale_factor=2", "(1, 2, 8, 8)", "'nearest'"),
    _resize(
        "interpolate(nearest), down",
        "size=(3, 3)",
        "(1, 2, 3, 3)",
        "'nearest'",
        "x[:, :, jnp.arange(3) * 4 // 3][:, :, :, jnp.arange(3) * 4 // 3]",
        Remark(
            text="PyTorch takes the pixel at floor(i * scale), JAX the one nearest to the centre, as"
            " PyTorch's 'nearest-exact'.",
            axes=("ordinary",),
            link=TORCH_DOCS + "torch.nn.functional.interpolate.html",
        ),
    ),
    _resize(
        "interpolate(nearest-exact), down",
        "size=(3, 3), mode='nearest-exact'",
        "(1, 2, 3, 3)",
        "'nearest'",
    ),
    _resize(
        "interpolate(bilinear), up", "scale_factor=2, mode='bilinear'", "(1, 2, 8, 8)", "'bilinear'"
    ),
    Op(
        "interpolate(bilinear, align_corners), up",
        "F.interpolate(x, size=(7, 7), mode='bilinear', align_corners=True)",
        "jax.image.scale_and_translate(x, (1, 2, 7, 7), (2, 3), jnp.array([2.0, 2.0]), jnp.array([-0.5, -0.5]), 'bilinear')",
        samples={"ordinary": "normal(1, 2, 4, 4)"},
    ),
    _resize(
        "interpolate(bilinear), down",
        "scale_factor=0.5, mode='bilinear'",
        "(1, 2, 2, 2)",
        "'bilinear'",
        "jax.image.resize(x, (1, 2, 2, 2), 'bilinear', antialias=False)",
        Remark(
            text="By default JAX takes the mean of more pixels where it makes an image smaller,"
            " PyTorch of two by two.",
            axes=("ordinary",),
            link="https://docs.jax.dev/en/latest/_autosummary/jax.image.resize.html",
        ),
    ),
    _resize(
        "interpolate(bilinear, antialias), down",
        "scale_factor=0.5, mode='bilinear', antialias=True",
        "(1, 2, 2, 2)",
        "'bilinear'",
        remark=Remark(
            text="PyTorch's kernel with antialias=True raises for bfloat16 on a CPU.",
            dtypes=("bfloat16",),
        ),
    ),
    _resize(
        "interpolate(bicubic), up",
        "scale_factor=2, mode='bicubic'",
        "(1, 2, 8, 8)",
        "'bicubic'",
        f"(lambda k: jnp.einsum('ih,bchw,jw->bcij', k, jnp.pad(x, ((0, 0), (0, 0), (2, 2), (2, 2)), mode='edge'), k))({CUBIC})",
        Remark(
            text="The cubic kernels differ: Keys's a is -0.75 in PyTorch, and pixels beyond the border"
            " are the last one's; in JAX a is -0.5, and weights are of the pixels that there are.",
            axes=("ordinary",),
            link="https://github.com/jax-ml/jax/issues/15768",
        ),
    ),
    Op(
        "pixel_shuffle",
        "F.pixel_shuffle(x, 2)",
        "x.reshape(1, 2, 2, 2, 3, 3).transpose(0, 1, 4, 2, 5, 3).reshape(1, 2, 6, 6)",
        samples={"ordinary": "normal(1, 8, 3, 3)"},
        jax_page="jax.numpy.reshape",
    ),
    Op(
        "pixel_unshuffle",
        "F.pixel_unshuffle(x, 2)",
        "x.reshape(1, 2, 3, 2, 3, 2).transpose(0, 1, 3, 5, 2, 4).reshape(1, 8, 3, 3)",
        samples={"ordinary": "normal(1, 2, 6, 6)"},
        jax_page="jax.numpy.reshape",
    ),
    Op(
        "channel_shuffle",
        "F.channel_shuffle(x, 2)",
        "x.reshape(1, 2, 3, 2, 2).swapaxes(1, 2).reshape(1, 6, 2, 2)",
        samples={"ordinary": "normal(1, 6, 2, 2)"},
        jax_page="jax.numpy.swapaxes",
    ),
    Op(
        "fold of unfold",
        "F.fold(F.unfold(x, 2), (4, 4), 2)",
        "x * jnp.array([[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]])",
        samples={"ordinary": "normal(1, 2, 4, 4)"},
        jax_page="jax.numpy.multiply",
    ),
    Op(
        "unfold, patches",
        "F.unfold(x, 2)",
        "lax.conv_general_dilated_patches(x, (2, 2), (1, 1), 'VALID').reshape(1, 8, 9)",
        samples={"ordinary": "normal(1, 2, 4, 4)"},
    ),
    Op(
        "grid_sample",
        "F.grid_sample(x, y, align_corners=True)",
        "jax.vmap(lambda image, g: jax.vmap(lambda c: jsp.ndimage.map_coordinates(c, [(g[..., 1] + 1) * 1.5, (g[..., 0] + 1) * 1.5], 1, 'constant'))(image))(x, y)",
        args="x y",
        samples={"ordinary": "normal(1, 2, 4, 4), uniform(-0.9, 0.9, 1, 3, 3, 2)"},
    ),
    Op(
        "affine_grid",
        "F.affine_grid(x, (1, 1, 2, 3), align_corners=True)",
        "jnp.einsum('nij,hwj->nhwi', x, jnp.stack([*jnp.meshgrid(jnp.linspace(-1, 1, 3), jnp.linspace(-1, 1, 2)), jnp.ones((2, 3))], -1).astype(x.dtype))",
        samples={"ordinary": "normal(1, 2, 3)"},
    ),
    Op(
        "dropout, not training",
        "F.dropout(x, 0.5, training=False)",
        "x + 0.0",
        samples={"ordinary": "normal(3, 4)"},
        jax_page="jax.random.bernoulli",
    ),
)

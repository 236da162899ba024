"""The computation graph: PyTorch's flags, value by value; regions; and what is drawn."""

import functools
import itertools
import re
import sys
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.sharding import AxisType, PartitionSpec

import functional_ad as fad
from functional_ad import _flow

X = jnp.linspace(-1.0, 1.0, 6).reshape(2, 3)
W = jnp.ones((3, 3))


def flags(node):
    return node.is_leaf, node.requires_grad, node.on_grad_path


def find(drawn, name):
    return next(node for node in drawn.nodes if node.name == name)


def names(drawn, *kinds):
    return [node.name for node in drawn.nodes if not kinds or node.kind in kinds]


# --- beside PyTorch: programs of operations that both have, one by one ---

FLOAT, INT, BOOL = "float", "int", "bool"
# Operation: the kinds of its inputs and of its output, and how each side writes it.
OPERATIONS = {
    "add": ([FLOAT, FLOAT], FLOAT, lax.add, lambda a, b: a + b),
    "mul": ([FLOAT, FLOAT], FLOAT, lax.mul, lambda a, b: a * b),
    "tanh": ([FLOAT], FLOAT, lax.tanh, lambda a: a.tanh()),
    "round": ([FLOAT], FLOAT, lax.round, lambda a: a.round()),
    "detach": ([FLOAT], FLOAT, lax.stop_gradient, lambda a: a.detach()),
    "less": ([FLOAT, FLOAT], BOOL, lax.lt, lambda a, b: a < b),
    "to_int": (
        [FLOAT],
        INT,
        lambda a: lax.convert_element_type(a, jnp.int32),
        lambda a: a.int(),
    ),
    "to_float": (
        [INT],
        FLOAT,
        lambda a: lax.convert_element_type(a, jnp.float32),
        lambda a: a.float(),
    ),
    "where": (
        [BOOL, FLOAT, FLOAT],
        FLOAT,
        lambda c, a, b: lax.select(c, b, a),
        lambda c, a, b: _torch().where(c, b, a),
    ),
}


def _torch():
    return pytest.importorskip("torch", reason="needs torch")


@st.composite
def programs(draw):
    """Which inputs require a gradient, and a list of operations on earlier values."""
    inputs = draw(st.lists(st.booleans(), min_size=2, max_size=3).filter(any))
    kinds = [FLOAT] * len(inputs)
    steps = []
    for _ in range(draw(st.integers(1, 10))):
        possible = [op for op, (needs, *_) in OPERATIONS.items() if set(needs) <= set(kinds)]
        op = draw(st.sampled_from(possible))
        places = [
            draw(st.sampled_from([i for i, kind in enumerate(kinds) if kind == need]))
            for need in OPERATIONS[op][0]
        ]
        steps.append((op, places))
        kinds.append(OPERATIONS[op][1])
    return inputs, steps, max(i for i, kind in enumerate(kinds) if kind == FLOAT)


def run_steps(values, steps, side):
    values = list(values)
    for op, places in steps:
        values.append(OPERATIONS[op][side](*(values[place] for place in places)))
    return values


def read_torch(inputs, steps, output):
    """The flags of every value as PyTorch has them; on the path: in the graph of the output."""
    torch = _torch()
    leaves = [torch.ones(3, requires_grad=flag) for flag in inputs]
    values = run_steps(leaves, steps, 3)
    reachable, waiting = set(), [values[output].grad_fn]
    while waiting:
        function = waiting.pop()
        if function is not None and function not in reachable:
            reachable.add(function)
            waiting += [following for following, _ in function.next_functions]
    reached = {id(f.variable) for f in reachable if hasattr(f, "variable")}
    reached |= {id(values[output])} if values[output].requires_grad else set()
    return [
        (v.is_leaf, v.requires_grad, v.grad_fn in reachable or id(v) in reached) for v in values
    ]


def read_ours(inputs, steps, output):
    drawn = fad.graph(
        lambda *values: run_steps(values, steps, 2)[output],
        *(jnp.ones(3) for _ in inputs),
        where=tuple(inputs),
    )
    return [flags(node) for node in drawn.nodes if node.kind in ("input", "op")]


@given(programs())
@settings(deadline=None, max_examples=150)
def test_the_flags_are_those_of_torch(program):
    assert read_ours(*program) == read_torch(*program)


def test_the_comparison_with_torch_notices_a_wrong_rule(monkeypatch):
    """Planted: a detached value that goes on requiring a gradient."""
    program = ([True, False], [("mul", [0, 1]), ("detach", [2]), ("add", [3, 2])], 4)
    assert read_ours(*program) == read_torch(*program)
    true_rule = _flow._require

    def forget(equation, given):
        return [True] if equation.primitive.name == "stop_gradient" else true_rule(equation, given)

    monkeypatch.setattr(_flow, "_require", forget)
    assert read_ours(*program) != read_torch(*program)


def test_the_edges_are_torchs_next_functions():
    torch = _torch()
    a, b = torch.tensor(2.0, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    loss = (torch.tanh(a * b + b) ** 2).exp()
    theirs, waiting = set(), [loss.grad_fn]
    while waiting:
        function = waiting.pop()
        for following, _ in function.next_functions:
            theirs.add((clean(following), clean(function)))
            waiting.append(following)
    drawn = fad.graph(lambda a, b: jnp.exp(jnp.tanh(a * b + b) ** 2), 2.0, 1.0)
    leaves = {"a": "accumulategrad", "b": "accumulategrad", "integer_pow": "pow"}
    ours = {
        tuple(leaves.get(end, end) for end in (edge.source, edge.target))
        for edge in drawn.edges
        if edge.target != "output"
    }
    assert ours == theirs


def clean(function):
    return re.sub(r"Backward\d*$", "", type(function).__name__).lower()


# --- flags through regions, and where ---


def test_regions_pass_the_flags_value_by_value():
    def fun(w, x, n):
        def step(carry, t):
            kept, dropped, count = carry
            return (kept * t, lax.stop_gradient(kept), count + 1), dropped

        (kept, dropped, count), seen = lax.scan(step, (w, w, 0), x)
        looped = lax.fori_loop(0, n, lambda _, c: c * 2.0, w)
        chosen = lax.cond(x[0] > 0, lambda a: a * 2.0, lambda a: lax.stop_gradient(a), w)
        return {
            "kept": kept,
            "dropped": dropped,
            "count": count,
            "seen": seen,
            "looped": looped,
            "chosen": chosen,
            "jit": jax.jit(lambda a: (a, lax.stop_gradient(a)))(w),
            "remat": jax.checkpoint(jnp.sin)(w),
            "unit": jnp.linalg.norm(w),
        }

    drawn = fad.graph(fun, 1.0, jnp.arange(3.0), 4, where="w")
    got = {
        node.name.removeprefix("output/"): node.requires_grad
        for node in drawn.nodes
        if node.kind == "output"
    }
    assert got == {
        "kept": True,
        "dropped": False,
        "count": False,
        "seen": True,  # the first is w itself
        "looped": True,
        "chosen": True,
        "jit/0": True,
        "jit/1": False,
        "remat": True,
        "unit": True,
    }


def test_a_carry_that_reaches_no_output_is_off_the_path():
    def fun(a, b):
        def step(carry, _):
            kept, lost = carry
            return (kept * a, lost + b), None

        (kept, _), _ = lax.scan(step, (1.0, 1.0), length=3)
        return kept

    drawn = fad.graph(fun, 2.0, 3.0)
    assert flags(drawn["a"]) == (True, True, True)
    assert flags(drawn["b"]) == (True, True, False)
    inside = drawn.open("scan")
    assert [n.on_grad_path for n in inside.nodes if n.name in ("mul", "add")] == [True, False]


def test_a_rule_of_ones_own_is_one_operation():
    @jax.custom_vjp
    def straight(x):
        return lax.stop_gradient(jnp.round(x))

    straight.defvjp(lambda x: (straight(x), None), lambda _, g: (g,))
    node = fad.graph(lambda x: straight(x) * 2, 1.0)["straight"]
    assert (node.kind, node.op, flags(node)) == ("region", "custom_vjp", (False, True, True))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, {"params/b": True, "params/w": True, "x": True, "labels": False}),
        ("params", {"params/b": True, "params/w": True, "x": False, "labels": False}),
        (["*/w", "x"], {"params/b": False, "params/w": True, "x": True, "labels": False}),
        (
            lambda path, leaf: leaf.ndim == 1 and "params" in path,
            {"params/b": True, "params/w": False, "x": False, "labels": False},
        ),
        (
            ({"b": False, "w": True}, False, False),
            {"params/b": False, "params/w": True, "x": False, "labels": False},
        ),
    ],
    ids=["all", "argument", "globs", "predicate", "booleans"],
)
def test_where_selects_leaves_by_the_arguments_names(where, expected):
    def loss(params, x, labels):
        return jnp.sum((x @ params["w"] + params["b"])[jnp.arange(2), labels])

    drawn = fad.graph(loss, {"w": W, "b": jnp.ones(3)}, X, jnp.array([0, 1]), where=where)
    got = {node.name: node.requires_grad for node in drawn.nodes if node.kind == "input"}
    assert got == expected


def test_a_wrong_where_names_the_paths():
    with pytest.raises(fad.SelectionError, match=r"graph\(where=\.\.\.\)` has a pattern.*\n.*'x'"):
        fad.graph(jnp.sin, X, where="weights")
    with pytest.raises(fad.LeafTypeError, match=r"'n': int32\[\]"):
        fad.graph(lambda x, n: x * n, 1.0, jnp.int32(3), where="n")


def test_arguments_of_every_kind():
    def fun(x, *rest, scale=2.0):
        mode, options, key = rest
        assert mode == "twice"
        assert options == {"axis": 1, "flag": True, "none": None}
        return jnp.sum(x * scale, axis=options["axis"]) + jax.random.normal(key, (2,))

    arguments = (X, "twice", {"axis": 1, "flag": True, "none": None}, jax.random.key(0))
    drawn = fad.graph(fun, *arguments)
    assert names(drawn, "input") == ["x", "rest/2"]
    shapes = fad.graph(jnp.sum, jax.ShapeDtypeStruct((1000, 1000, 1000), jnp.bfloat16))
    assert shapes.nodes[0].types == ("bfloat16[1000,1000,1000]",)
    by_place = fad.graph(functools.partial(jnp.add, X), X)
    assert "output" in names(by_place)


def test_half_precision_and_complex_values_require_gradients():
    drawn = fad.graph(lambda z, h: (jnp.real(z), h * 2), 1j, jnp.ones(2, jnp.float16))
    assert all(node.requires_grad for node in drawn.nodes if node.kind != "constant")


# --- names, constants, lines ---


def test_names_are_those_of_the_source():
    table, factor = jnp.arange(3.0), np.float32(7.0)

    def loss(w, x):
        hidden = checkpoint_name(jax.nn.relu(x @ w) * table, "hidden")
        hidden = jnp.where(hidden > 1, hidden, 0.0) + lax.mul(hidden, hidden)
        return jnp.sum(hidden) * factor

    drawn = fad.graph(loss, W, X)
    assert drawn.title == "loss"
    assert {"table", "hidden", "relu", "where", "dot_general", "mul", "mul_1"} <= set(names(drawn))
    assert drawn["table"].kind == "constant"
    assert drawn["hidden"].op == "name"
    assert drawn["add"].args == ("where", "mul_1")
    assert drawn["gt"].args == ("hidden", "1")
    assert drawn["dot_general"].line.startswith("test_graph.py:")
    line = int(drawn["hidden"].line.partition(":")[2])
    assert drawn["where"].line == f"test_graph.py:{line + 1}"


def test_a_compiled_function_is_shown_by_its_inside():
    plain = fad.graph(lambda x: jnp.sin(x) + 1, 1.0)
    compiled = fad.graph(jax.jit(lambda x: jnp.sin(x) + 1), 1.0)
    assert names(compiled) == names(plain)
    assert [flags(node) for node in compiled.nodes] == [flags(node) for node in plain.nodes]


def test_scopes_are_regions_and_transposed_ones_apart():
    def loss(x):
        for index in range(2):
            with jax.named_scope(f"layer{index}"), jax.named_scope("inner"):
                x = jnp.tanh(x) * 2
        return x

    drawn = fad.graph(loss, 1.0)
    assert names(drawn) == ["x", "layer0", "layer1", "output"]
    assert names(drawn.open("layer1")) == ["layer0", "tanh", "mul", "layer1"]
    labels = [node.label for node in fad.graph(jax.grad(loss), 1.0).nodes]
    assert [label for label in labels if "layer" in label] == [
        "layer0",
        "layer1",
        "layer1 (backward)",
        "layer0 (backward)",
    ]


def test_what_open_shows():
    def fun(x):
        y, _ = lax.scan(lambda c, t: (c * t, None), x, jnp.arange(4.0))
        y = lax.while_loop(lambda c: c < 10, lambda c: c * 2 + y, y)
        y = lax.cond(y > 0, jnp.sin, jnp.cos, y)
        return jax.jit(jax.checkpoint(jnp.exp))(y)

    drawn = fad.graph(fun, 2.0)
    assert names(drawn.open("scan"))[:2] == ["x (carried)", "iota[i]"]
    assert drawn["while"].bodies == ("condition", "body")
    assert names(drawn.open("while", 0), "op") == ["lt"]
    assert names(drawn.open("while"), "op") == ["mul", "add"]
    assert drawn["cond"].bodies == ("branch 0", "branch 1")
    assert names(drawn.open(drawn["cond"], 0), "op") == ["cos"]
    assert names(drawn.open("cond"), "op") == ["sin"]
    assert names(drawn.open("exp"), "op") == ["exp"]
    assert "    mul" in drawn.to_text(2)
    assert "    mul" not in drawn.to_text()


def test_shard_map_can_be_opened():
    mesh = jax.make_mesh((1,), ("d",), axis_types=(AxisType.Auto,))
    spec = PartitionSpec("d")
    mapped = jax.shard_map(
        lambda w, x: lax.stop_gradient(w) * x, mesh=mesh, in_specs=spec, out_specs=spec
    )
    drawn = fad.graph(lambda w, x: mapped(w, x) + x, jnp.ones(2), jnp.ones(2), where="w")
    assert drawn["shard_map"].is_leaf
    assert names(drawn.open("shard_map"), "op") == ["stop_gradient", "mul"]


def test_opening_what_is_no_region_says_what_can_be_opened():
    drawn = fad.graph(lambda x: jax.nn.relu(x) + 1, 1.0)
    with pytest.raises(
        fad.SelectionError, match=r"must name a region.*\n  expected: one of 'relu'"
    ):
        drawn.open("add")
    with pytest.raises(fad.SelectionError, match=r"must be the name of a node.*\n.*'x', 'relu'"):
        drawn.open("sub")


@pytest.mark.parametrize("within", ["jit", "vmap", "grad"])
def test_it_can_be_drawn_inside_of_a_transform(within):
    seen = []

    def fun(x):
        seen.append(fad.graph(lambda x: jnp.sum(jnp.tanh(x)), x))
        return jnp.sum(x)

    transform = {"jit": jax.jit, "vmap": jax.vmap, "grad": jax.grad}[within]
    transform(fun)(jnp.ones(3))
    assert names(seen[0], "op")[0] == "tanh"


# --- the pictures ---

DEPTH = 12


def norm(p, x):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * p["scale"] + p["bias"]


def attend(p, x):
    q, k, v = (a.reshape(*a.shape[:-1], 4, -1) for a in jnp.split(x @ p["qkv"], 3, -1))
    scores = jnp.einsum("bqhd,bkhd->bhqk", q, k) / 4
    scores = jnp.where(jnp.tril(jnp.ones(scores.shape[-2:], bool)), scores, -1e9)
    mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores), v)
    return mixed.reshape(x.shape) @ p["out"]


def transform(params, tokens):
    x = params["embed"][tokens] + params["pos"]
    for index, p in enumerate(params["blocks"]):
        with jax.named_scope(f"block_{index}"):
            with jax.named_scope("attention"):
                x = x + attend(p, norm(p["ln1"], x))
            with jax.named_scope("mlp"):
                x = x + jax.nn.gelu(norm(p["ln2"], x) @ p["up"]) @ p["down"]
    logits = norm(params["ln"], x) @ params["embed"].T
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits[:, :-1]), tokens[:, 1:, None], -1)
    return -jnp.mean(chosen)


def make_transformer():
    def leaf(*shape):
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    ln = {"scale": leaf(64), "bias": leaf(64)}
    block = {
        "ln1": ln,
        "ln2": ln,
        "qkv": leaf(64, 192),
        "out": leaf(64, 64),
        "up": leaf(64, 256),
        "down": leaf(256, 64),
    }
    params = {
        "embed": leaf(100, 64),
        "pos": leaf(16, 64),
        "blocks": [block] * DEPTH,
        "ln": ln,
    }
    return params, jax.ShapeDtypeStruct((2, 16), jnp.int32)


@pytest.fixture(scope="module")
def transformer():
    return fad.graph(transform, *make_transformer())


SVG = "{http://www.w3.org/2000/svg}"


def read_boxes(svg):
    """Left, top, right, bottom of each node's box, and the picture's own."""
    root = ElementTree.fromstring(svg)
    boxes = [group.find(f"{SVG}rect").attrib for group in root.findall(f"{SVG}g[{SVG}title]")]
    sides = [[float(box[k]) for k in ("x", "y", "width", "height")] for box in boxes]
    x, y, width, height = map(float, root.attrib["viewBox"].split())
    return [(a, b, a + w, b + h) for a, b, w, h in sides], (x, y, x + width, y + height)


def test_a_transformer_is_a_column_of_blocks(transformer):
    blocks = [node for node in transformer.nodes if node.name.startswith("block_")]
    assert len(blocks) == DEPTH
    assert len(transformer.nodes) < 70
    leaves = transformer["params/blocks/3"]
    assert (leaves.count, flags(leaves)) == (8, (True, True, True))
    inside = transformer.open("block_3")
    assert names(inside, "region") == ["attention", "mlp"]
    boxes, _ = read_boxes(transformer.to_svg())
    # Drawn as a column: all the blocks' boxes, which alone hold their leaves, are at one x.
    assert len({left for left, top, _, bottom in boxes if bottom - top > 50}) == 1


@pytest.mark.parametrize("what", ["transformer", "attention", "gradient", "parts"])
def test_boxes_do_not_overlap_and_all_is_in_the_picture(transformer, what):
    def parts(a, b, unused):
        return a * 2, jnp.sin(b)

    drawn = {
        "transformer": lambda: transformer,
        "attention": lambda: transformer.open("block_0").open("attention"),
        "gradient": lambda: fad.graph(jax.grad(transform), *make_transformer()),
        "parts": lambda: fad.graph(parts, 1.0, 2.0, 3.0),
    }[what]()
    svg = drawn.to_svg()
    boxes, (left, top, right, bottom) = read_boxes(svg)
    assert len(boxes) >= len(drawn.nodes) - DEPTH
    for one, other in itertools.combinations(boxes, 2):
        apart = one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]
        assert apart
    lines = ElementTree.fromstring(svg).findall(f"{SVG}path")
    points = [
        tuple(map(float, point.split()))
        for line in lines
        for point in re.findall(r"-?[\d.]+ -?[\d.]+", line.attrib["d"])
    ]
    points += [(box[i], box[j]) for box in boxes for i in (0, 2) for j in (1, 3)]
    assert all(left <= x <= right and top <= y <= bottom for x, y in points)


def test_every_edge_of_the_picture_is_one_of_the_graph(transformer):
    drawn = transformer.open("block_0").open("attention")
    lines = ElementTree.fromstring(drawn.to_svg()).findall(f"{SVG}path")
    titles = {line.find(f"{SVG}title").text.partition(":")[0] for line in lines}
    assert titles == {f"{edge.source} to {edge.target}" for edge in drawn.edges}
    assert [line.attrib["class"] for line in lines].count("path") == sum(
        edge.on_grad_path for edge in drawn.edges
    )


def test_text_in_a_picture_is_escaped():
    def fun(x):
        return checkpoint_name(x * 2, '<b>"&`#')

    drawn = fad.graph(fun, 1.0)
    root = ElementTree.fromstring(drawn.to_svg())
    assert '<b>"&`#' in [text.text for text in root.iter(f"{SVG}text")]
    assert "#lt;b#gt;#quot;#amp;#96;#35;" in drawn.to_mermaid()
    assert r'"<b>\"&`#\nfloat32[]"' in drawn.to_dot()


def test_a_picture_can_be_read_aloud_and_is_the_same_each_time():
    def draw():
        return fad.graph(lambda w, x: jnp.sum(w * x), W, W, where="w").to_svg()

    root = ElementTree.fromstring(draw())
    assert root.attrib["role"] == "img"
    labels = root.attrib["aria-labelledby"].split()
    described = {e.attrib["id"]: e.text for e in root if "id" in e.attrib and e.text}
    assert "mul from w, x: on the gradient's path" in "".join(described[key] for key in labels)
    assert draw() == draw()


def test_mermaid_and_dot_hold_every_node_and_edge(transformer):
    for text, arrow in ((transformer.to_mermaid(), r"[=-]\.?[=-]?>"), (transformer.to_dot(), "->")):
        assert len(re.findall(rf"n\d+ {arrow} n\d+", text)) == len(transformer.edges)
        assert all(f"block_{index}" in text for index in range(DEPTH))


def test_a_notebook_gets_a_picture_or_mermaids(monkeypatch):
    drawn = fad.graph(jnp.sin, 1.0)
    bundle = drawn._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<svg")
    assert bundle["text/plain"] == str(drawn)
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    assert drawn._repr_mimebundle_()["text/vnd.mermaid"].startswith("flowchart")
    with pytest.raises(fad.MissingExtraError, match=r"pip install 'functional-ad\[graph\]'"):
        drawn.to_svg()


def test_an_empty_graph_can_be_drawn():
    drawn = fad.graph(lambda: None)
    assert str(drawn).startswith("<lambda>: 0 nodes")
    assert drawn.to_svg().startswith("<svg")


@pytest.mark.parametrize("compiled", [False, True])
def test_a_ref_is_refused(compiled):
    """What is written to it has no edge to what is read from it: the flags would be wrong."""

    def fun(w):
        ref = jax.new_ref(jnp.zeros(()))
        ref[...] = w * 2
        return ref[...]

    with pytest.raises(fad.PrimitiveError, match="cannot follow values through a"):
        fad.graph(jax.jit(fun) if compiled else fun, 1.0)

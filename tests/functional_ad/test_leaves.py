"""select, partition, combine: what is selected, and what is refused."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import functional_ad as fad

PARAMS = {
    "emb": np.ones((4, 2), np.float32),
    "layers": [
        {"attn": {"w": np.ones(2), "bias": np.ones(1)}, "bias": 1.0},
        {"attn": {"w": np.ones(2), "bias": np.ones(1)}, "bias": 2.0},
    ],
    "step": 3,
    "name": "net",
    "nothing": None,
}
PATHS = [
    "emb",
    *(f"layers/{i}/{name}" for i in (0, 1) for name in ("attn/bias", "attn/w", "bias")),
    "name",
    "step",
]


def name_it(value):
    """A test id that is the same in every process."""
    return "predicate" if callable(value) and not isinstance(value, type) else str(value)[:40]


def chosen(where, tree=PARAMS):
    """The selected paths, by JAX's own path writer."""
    pairs, _ = jax.tree_util.tree_flatten_with_path(fad.select(tree, where))
    return [jax.tree_util.keystr(p, simple=True, separator="/") for p, flag in pairs if flag]


@pytest.mark.parametrize(
    ("where", "want"),
    [
        (None, PATHS[:7]),
        ("emb", ["emb"]),
        ("layers/0", PATHS[1:4]),
        ("layers/*/attn", [p for p in PATHS if "attn" in p]),
        ("*/bias", [p for p in PATHS if p.endswith("bias")]),
        ("layers/?/bias", ["layers/0/bias", "layers/1/bias"]),
        ("layers/[!0]/*/w", ["layers/1/attn/w"]),
        (["emb", "layers/1/attn/w"], ["emb", "layers/1/attn/w"]),
        (("emb", "em*"), ["emb"]),
        (lambda path, leaf: path.endswith("w"), ["layers/0/attn/w", "layers/1/attn/w"]),
        (lambda path, leaf: np.bool_(np.ndim(leaf) == 2), ["emb"]),
    ],
    ids=name_it,
)
def test_select_by_kind_of_where(where, want):
    assert chosen(where) == want


def test_select_by_booleans_and_their_prefixes():
    mask = {"emb": True, "layers": [False, True], "step": False, "name": False, "nothing": None}
    assert chosen(mask) == ["emb", *PATHS[4:7]]
    assert chosen(fad.select(PARAMS, mask)) == ["emb", *PATHS[4:7]]  # its own result is a mask
    assert fad.select({"w": 1.0}, True) == {"w": True}


def test_a_literal_path_wins_over_its_reading_as_a_glob():
    tree = {"w[0]": 1.0, "w0": 2.0, "a/b": 3.0}
    assert fad.select(tree, "w[0]") == {"w[0]": True, "w0": False, "a/b": False}
    assert fad.select(tree, "w[0-9]") == {"w[0]": False, "w0": True, "a/b": False}
    assert fad.select(tree, "a/b") == {"w[0]": False, "w0": False, "a/b": True}


def test_a_prefix_ends_at_a_slash():
    assert fad.select({"enc": 1.0, "encoder": 2.0}, "enc") == {"enc": True, "encoder": False}


def test_a_bare_array_is_a_tree():
    assert fad.select(np.float32(1)) is True
    assert fad.partition(2.0, True) == (2.0, None)


def test_abstract_leaves_are_selected_as_arrays_are():
    shapes = jax.eval_shape(lambda: {"w": jnp.ones(3), "n": jnp.arange(3)})
    assert fad.select(shapes) == {"w": True, "n": False}


@pytest.mark.parametrize(
    ("leaf", "want"),
    [
        (1.0, True),
        (1j, True),
        (np.float16(1), True),
        (jnp.bfloat16(1), True),
        (np.complex64(1), True),
        (1, False),
        (True, False),
        (np.int8(1), False),
        (np.bool_(True), False),
        ("text", False),
        (object(), False),
        (jax.random.key(0), False),
    ],
    ids=lambda x: type(x).__name__,
)
def test_which_leaves_can_have_a_gradient(leaf, want):
    assert fad.select({"leaf": leaf, "w": 1.0})["leaf"] is want


def test_a_ref_is_not_differentiated():
    """What is written to a jax.Ref is no function of what it held."""
    assert fad.select({"ref": jax.new_ref(jnp.ones(2)), "w": 1.0}) == {"ref": False, "w": True}


class ForeignTensor:
    """As a tensor of PyTorch looks to JAX."""

    dtype = "torch.float32"
    shape = (2,)


@pytest.mark.parametrize("leaf", [ForeignTensor(), np.longdouble(1)], ids=["foreign", "longdouble"])
def test_a_dtype_that_jax_does_not_know_is_named(leaf):
    with pytest.raises(fad.LeafTypeError, match="A leaf has a dtype that JAX does not know") as e:
        fad.select({"t": leaf, "w": 1.0})
    assert f"{type(leaf).__name__} with dtype {leaf.dtype}\n" in str(e.value)
    assert "`jnp.asarray(tensor.numpy())`" in str(e.value)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class CallableModule:
    """Like an equinox module: a pytree that can be called."""

    w: Any
    b: Any

    def __call__(self, x):
        return self.w * x + self.b


def test_a_callable_pytree_of_booleans_is_a_mask_not_a_predicate():
    mask = fad.select(CallableModule(w=1.0, b=2.0), CallableModule(w=True, b=False))
    assert mask == CallableModule(w=True, b=False)


@pytest.mark.parametrize(
    ("where", "error", "text"),
    [
        (
            "layer",
            fad.SelectionError,
            "`functional_ad.select(where=...)` has a pattern that matches no leaf.\n"
            "  expected: a prefix or glob of: 'emb', 'layers/0/attn/bias', 'layers/0/attn/w', "
            "'layers/0/bias', 'layers/1/attn/bias', 'layers/1/attn/w', 'layers/1/bias', 'name', "
            "'step'\n"
            "  got:      'layer'\n"
            "Write the path of a leaf or of a subtree, e.g. 'emb'.",
        ),
        (["emb", "*/w", "x/*", "y"], fad.SelectionError, "  got:      'x/*', 'y'\n"),
        (
            ["emb", "step"],
            fad.LeafTypeError,
            "`functional_ad.select(where=...)` selects a leaf that cannot have a gradient.\n"
            "  expected: floating-point or complex leaves\n"
            "  got:      'step': int\n"
            "Leave it out of `where`, or cast it to a floating dtype.",
        ),
        ("*", fad.LeafTypeError, "  got:      'name': str\n            'step': int\n"),
        (True, fad.LeafTypeError, "'name': str"),
        (
            lambda path, leaf: False,
            fad.SelectionError,
            "`functional_ad.select(where=...)` selects no leaf, so there is nothing to differe",
        ),
        (
            [],
            fad.SelectionError,
            "`functional_ad.select(where=...)` selects no leaf, so there is nothing to "
            "differentiate.\n  expected: at least one floating-point leaf\n"
            "  got:      'emb': float32[4,2]\n",
        ),
        (
            {"emb": True},
            fad.SelectionError,
            "`functional_ad.select(where=...)` must have the structure of the tree, or of a "
            "prefix of it.\n  expected: PyTreeDef({'emb': *, 'layers': [",
        ),
        (
            {"emb": 1},
            fad.ArgumentError,
            "`functional_ad.select(where=...)` must say statically which leaves are meant.\n"
            "  expected: a path, a glob, a list of them, a predicate, or a tree of True and False\n"
            "  got:      'emb': int\n"
            "Make a tree of booleans with `functional_ad.select(tree, where)`.",
        ),
        (["emb", True], fad.ArgumentError, "  got:      '0': str\n"),
        ({"emb"}, fad.ArgumentError, "  got:      set\n"),
        (b"emb", fad.ArgumentError, "  got:      bytes\n"),
        (
            lambda path, leaf: None,
            fad.ArgumentError,
            "must be a predicate that returns a bool.\n  expected: True or False\n"
            "  got:      None (NoneType) for the leaf 'emb'\n",
        ),
    ],
    ids=name_it,
)
def test_select_refuses(where, error, text):
    with pytest.raises(error) as caught:
        fad.select(PARAMS, where)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "got"),
    [
        ({"n": np.arange(3), "s": "x"}, "'n': int64[3]\n            's': str\n"),
        ({}, "a tree with no leaves\n"),
        (3, "  got:      int\n"),
    ],
)
def test_a_tree_without_floats_has_nothing_to_select(tree, got):
    with pytest.raises(fad.SelectionError, match="selects no leaf") as caught:
        fad.select(tree)
    assert got in str(caught.value)


def test_a_value_cannot_decide_under_jit():
    """A predicate that asks for values works on arrays and fails loudly on tracers."""
    positive = lambda path, leaf: leaf > 0  # noqa: E731
    with pytest.raises(fad.ArgumentError, match="values are unknown under jit"):
        jax.jit(lambda p: fad.partition(p, fad.select(p, positive)))({"w": 1.0})


def test_partition_keeps_the_tree_in_both_halves():
    diff, rest = fad.partition(PARAMS, fad.select(PARAMS, "layers/0/bias"))
    assert jax.tree.leaves(diff) == [1.0]
    assert diff["emb"] is None
    assert diff["layers"][0]["attn"] == {"w": None, "bias": None}
    assert rest["layers"][0]["bias"] is None
    assert rest["name"] == "net"


def test_partition_refuses_a_mask_of_another_structure():
    with pytest.raises(fad.SelectionError) as caught:
        fad.partition({"w": 1.0, "b": 2.0}, {"w": True, "bias": False})
    assert str(caught.value) == (
        "`functional_ad.partition(mask=...)` must have the structure of the tree, or of a prefix "
        "of it.\n  expected: PyTreeDef({'b': *, 'w': *})\n"
        "  got:      PyTreeDef({'bias': *, 'w': *})\n"
        "Make it with `functional_ad.select(tree, where)`."
    )


def test_combine_refuses_what_is_not_two_halves():
    with pytest.raises(fad.SelectionError, match="must get two halves of one tree"):
        fad.combine({"w": 1.0}, {"b": 1.0})
    with pytest.raises(fad.SelectionError, match="must get two halves of one tree"):
        fad.combine({"w": None}, {"w": {"kernel": 1.0}})
    with pytest.raises(fad.SelectionError) as caught:
        fad.combine({"a": {"w": 1.0}, "b": None}, {"a": {"w": 2.0}, "b": 2.0})
    assert "  got:      a leaf in both at 'a/w'\n" in str(caught.value)


leaves = st.one_of(
    st.floats(allow_nan=False),
    st.integers(),
    st.booleans(),
    st.text(max_size=2),
    st.none(),
    st.sampled_from([np.ones(2, np.float16), np.arange(3), np.zeros((0, 2), np.complex64)]),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text("ab/", min_size=1, max_size=2), inner, max_size=3),
        st.tuples(inner, inner),
    ),
    max_leaves=8,
)


@given(tree=trees, data=st.data())
def test_partition_and_combine_are_inverse(tree, data):
    structure = jax.tree.structure(tree)
    count = structure.num_leaves
    flags = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    diff, rest = fad.partition(tree, jax.tree.unflatten(structure, flags))
    assert len(jax.tree.leaves(diff)) == sum(flags)
    assert len(jax.tree.leaves(rest)) == count - sum(flags)
    for whole in (fad.combine(diff, rest), fad.combine(rest, diff)):
        assert jax.tree.structure(whole) == structure
        pairs = zip(jax.tree.leaves(whole), jax.tree.leaves(tree), strict=True)
        assert all(got is want for got, want in pairs)


@given(tree=trees)
def test_selecting_everything_selects_the_floats(tree):
    floats = [isinstance(x, float) or getattr(x, "dtype", None) in ("float16", "complex64")
              for x in jax.tree.leaves(tree)]  # fmt: skip
    if any(floats):
        assert jax.tree.leaves(fad.select(tree)) == floats
    else:
        with pytest.raises(fad.SelectionError):
            fad.select(tree)

"""Every entry of the catalogue: it is named where it is the cause, and its fix mends the pair."""

import re
import string
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from comparisons import ParityCase
from comparisons._causes import CATALOGUE
from comparisons._causes.catalogue import TOPICS
from comparisons._runner import run_case

NAMES = [known.name for known in CATALOGUE]
SHOWN_BELOW = {"matmul-precision"}
OF_THE_ATLAS = {known.name for known in TOPICS["The atlas's other choices"]}  # test_atlas.py


def test_there_is_a_pair_for_every_entry(pairs):
    assert set(pairs) | SHOWN_BELOW | OF_THE_ATLAS == set(NAMES)
    assert len(NAMES) == len(set(NAMES)) >= 45


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SHOWN_BELOW | OF_THE_ATLAS])
def test_the_cause_is_named_and_its_fix_mends(name, pairs, explain):
    pair = pairs[name]
    found = explain(pair.case())
    for key, causes in found.items():
        named = {found.name for found in causes}
        assert name in named, key
        assert named <= {name, *pair.also}, key
        assert all("{" not in found.title + found.fix for found in causes)
    assert run_case(pair.case(pair.fixed)).outcome == "pass"


def test_a_product_at_less_than_full_precision(explain):
    """Where JAX asks the device for less by default; a CPU gives all, so the function obeys."""

    def multiply(x, w):
        narrow = jax.config.jax_default_matmul_precision == "tensorfloat32"
        if narrow and x.dtype == jnp.float32:
            x, w = (jax.lax.reduce_precision(a, 8, 10) for a in (x, w))
        return jnp.matmul(x, w)

    rng = np.random.default_rng(0)
    case = ParityCase(
        name="product",
        title="product",
        jax=multiply,
        torch=torch.matmul,
        inputs=(rng.normal(size=(16, 32)), rng.normal(size=(32, 8))),
    )
    with jax.default_matmul_precision("tensorfloat32"):
        (causes,) = set(explain(case).values())
        assert [found.name for found in causes] == ["matmul-precision"]
    with jax.default_matmul_precision("highest"):
        assert run_case(case).outcome == "pass"


@pytest.mark.parametrize("known", CATALOGUE, ids=NAMES)
def test_an_entry_reads_well(known):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", known.name)
    assert known.title.endswith(".")
    assert known.fix.endswith(".")
    assert known.source.startswith("https://")
    assert known.kind in ("convention", "mistake")
    fields = {field for _, field, _, _ in string.Formatter().parse(known.title) if field}
    assert all(field.isidentifier() for field in fields)


def test_the_page_is_the_catalogue(load):
    docs = Path(__file__).parents[3] / "docs"
    assert (docs / "causes.md").read_text(encoding="utf-8") == load(
        docs / "make_causes.py"
    ).render()


def test_the_topics_hold_the_catalogue():
    assert [known for topic in TOPICS.values() for known in topic] == list(CATALOGUE)

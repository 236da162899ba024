"""No optimizer does more flops than optax's own of the same kind, read off the compiled program."""

import optax
import pytest

from benchmarks._optimizer_flops import SCALARS, count_flops
from benchmarks._optimizer_rows import ROWS
from functional_ad.torch_semantics import optim

PAIRS = [(name, variant) for name, row in ROWS.items() for variant in row.twin]


@pytest.mark.parametrize(("name", "variant"), PAIRS, ids=lambda x: x)
def test_an_update_does_no_more_flops_than_optaxs(name, variant):
    row = ROWS[name]
    options = row.make_options(variant)
    ours = count_flops(getattr(optim, name)(**options), row.layer)
    assert 0 < ours <= count_flops(row.twin[variant](**options), row.layer) + SCALARS


def test_a_costlier_update_is_noticed():
    """The comparison is empty unless one more operation for each number shows in it."""
    twice = optax.chain(optax.clip(1.0), optax.adam(1e-3))
    layer = ROWS["adam"].layer
    assert count_flops(twice, layer) > count_flops(optax.adam(1e-3), layer) + SCALARS

"""No optimizer does more flops than optax's own of the same kind, read off the compiled program."""

import optax
import pytest

from benchmarks._optimizer_flops import SCALARS, count_flops
from benchmarks._optimizer_rows import ROWS
from functional_ad.torch_semantics import optim

PAIRS = [(name, variant) for name, row in ROWS.items() for variant in row.twin]


@pytest.mark.parametrize(("name", "variant"), PAIRS, ids=lambda x: x)
def test_an_update_does_no_more_flops_than_optaxs(name, variant):
    options = ROWS[name].make_options(variant)
    ours = count_flops(getattr(optim, name)(**options))
    assert 0 < ours <= count_flops(ROWS[name].twin[variant](**options)) + SCALARS


def test_a_costlier_update_is_noticed():
    """The comparison is empty unless one more operation for each number shows in it."""
    twice = optax.chain(optax.clip(1.0), optax.adam(1e-3))
    assert count_flops(twice) > count_flops(optax.adam(1e-3)) + SCALARS

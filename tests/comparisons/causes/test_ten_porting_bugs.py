"""A user's file with ten mistakes: ten causes named, ten fixes printed; with them, all agree."""

from pathlib import Path

import pytest

from comparisons._runner import run_case

FOLDER = Path(__file__).parents[1] / "ten_porting_bugs"
BUGS = {
    "classifier/feed-forward": ("gelu-tanh", "jax.nn.gelu(x, approximate=False)"),
    "classifier/layer-norm": ("norm-epsilon", "epsilon=1e-05"),
    "classifier/stem": ("conv-padding", "padding=[(k // 2, k // 2)]"),
    "classifier/head": ("flatten-order", "jnp.moveaxis(x, -1, 1) before the reshape"),
    "classifier/projection": ("weight-transposed", "transpose input 1"),
    "classifier/returns": ("ddof", "ddof=1"),
    "classifier/median-deviation": ("median-even", "jnp.quantile(x, 0.5, method='lower')"),
    "classifier/loss": ("label-smoothing-missing", "optax.smooth_labels"),
    "classifier/clipping": ("clip-norm-epsilon", "Divide by norm + 1e-6"),
    "classifier/training": ("adam-l2", "optax.chain(optax.add_decayed_weights(decay)"),
}


@pytest.mark.parametrize("name", BUGS)
def test_the_cause_is_named_and_its_fix_printed(name, load, explain):
    cause, fix = BUGS[name]
    (case,) = [case for case in load(FOLDER / "broken.py").CASES if case.name == name]
    for key, causes in explain(case).items():
        named = {found.name: found.fix for found in causes}
        assert cause in named, key
        assert fix in named[cause], key


def test_with_the_fixes_all_agree(load):
    cases = load(FOLDER / "fixed.py").CASES
    assert [case.name for case in cases] == list(BUGS)
    assert {case.name: run_case(case).outcome for case in cases} == dict.fromkeys(BUGS, "pass")

"""reduce_lr_on_plateau: a value that is carried, saved and traced, and its error texts.

Its course is compared with PyTorch's in tests/comparisons/test_lr_scheduler.py.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import functional_ad as fad
from functional_ad.torch_semantics import lr_scheduler

LOSSES = jnp.array([3.0, 2.0, 2.0, 2.0, 1.0, jnp.nan, 1.0, 1.0])


def test_a_scan_and_single_steps_agree():
    plateau = lr_scheduler.reduce_lr_on_plateau(0.5, factor=0.5, patience=1)
    single = [plateau]
    for loss in LOSSES:
        single.append(single[-1].step(loss))
    last, rates = jax.jit(
        lambda plateau: jax.lax.scan(lambda p, loss: (p.step(loss), p.lr), plateau, LOSSES)
    )(plateau)
    np.testing.assert_array_equal(rates, [0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125])
    np.testing.assert_array_equal(rates, [p.lr for p in single[:-1]])
    assert jax.tree.all(jax.tree.map(jnp.array_equal, last, single[-1]))


def test_it_keeps_its_dtypes_and_its_tree():
    plateau = lr_scheduler.reduce_lr_on_plateau(0.5)
    new = plateau.step(np.float16(1.0))
    assert jax.tree.structure(new) == jax.tree.structure(plateau)
    assert [x.dtype for x in jax.tree.leaves(new)] == [x.dtype for x in jax.tree.leaves(plateau)]
    with jax.enable_x64(True):
        assert lr_scheduler.reduce_lr_on_plateau(0.5).step(1.0).lr.dtype == jnp.float64


def test_numbers_read_back_from_a_file_go_on():
    plateau = lr_scheduler.reduce_lr_on_plateau(0.5, patience=0).step(1.0)
    saved = {f.name: getattr(plateau, f.name) for f in dataclasses.fields(plateau)}
    numbers = {k: v.item() if isinstance(v, jax.Array) else v for k, v in saved.items()}
    again = lr_scheduler.ReduceLROnPlateau(**numbers)
    assert again.step(1.0).lr == plateau.step(1.0).lr == jnp.float32(0.05)


def test_several_at_once():
    make = jax.vmap(lambda lr: lr_scheduler.reduce_lr_on_plateau(lr, patience=0))
    plateaus = make(jnp.array([0.5, 0.1]))
    stepped = jax.vmap(lambda p, loss: p.step(loss).step(loss))(plateaus, jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(stepped.lr, [0.05, 0.01])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"factor": 1.0},
            "`functional_ad.torch_semantics.lr_scheduler.reduce_lr_on_plateau(factor=...)` is out "
            "of bounds.\n  expected: a number at least 0 and below 1\n  got:      1.0 (float)",
        ),
        ({"mode": "low"}, "(mode=...)` is unknown.\n  expected: 'min' or 'max'"),
        ({"patience": 1.5}, "(patience=...)` must be an integer."),
        ({"min_lr": [0.1, 0.2]}, "(min_lr=...)` is out of bounds."),
    ],
)
def test_error_texts(options, text):
    with pytest.raises(fad.ArgumentError) as caught:
        lr_scheduler.reduce_lr_on_plateau(0.5, **options)
    assert text in str(caught.value)


def test_the_error_text_of_a_step():
    with pytest.raises(fad.ArgumentError) as caught:
        lr_scheduler.reduce_lr_on_plateau(0.5).step(jnp.ones(2))
    assert str(caught.value) == (
        "`functional_ad.torch_semantics.lr_scheduler.ReduceLROnPlateau.step(metrics)` must be one "
        "number.\n"
        "  expected: a real number, or an array of shape ()\n"
        "  got:      float32[2]\n"
        "Pass e.g. the mean of the losses."
    )

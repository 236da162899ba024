"""compare, assert_parity, run_cases: inputs, settings and errors."""

import functools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import functional_ad
from comparisons import ParityCase, Verdict, assert_parity, compare
from comparisons._inputs import perturb, prepare_inputs
from comparisons._runner import read_source
from comparisons._seeds import Seeds
from comparisons._suite import run_cases


def test_a_report_of_one_case():
    report = compare(jnp.sin, torch.sin, (np.ones(3),), name="sine")
    assert report.ok
    assert [case.name for case in report.cases] == ["sine"]
    assert [(leaf.path, leaf.quantity) for leaf in report.cases[0].leaves] == [
        ("", "value"),
        ("0", "vjp"),
    ]
    assert compare(jnp.sin, torch.sin, (np.ones(3),)).cases[0].name == "sin"


def test_assert_parity_shows_the_table_and_the_reason():
    assert_parity(jnp.sin, torch.sin, (np.ones(3),))
    with pytest.raises(AssertionError) as caught:
        assert_parity(jnp.sin, torch.cos, (np.ones(3),), name="wrong")
    text = str(caught.value)
    assert text.startswith("parity failed\n")
    assert "MISMATCH" in text
    assert "The float64 runs differ by 0.301" in text


def test_pytrees_mixed_leaves_and_numbers_as_inputs():
    params = {"w": np.ones((3, 2)), "steps": np.array(4), "name": "net", "none": None}

    def fun(params, x, power):
        assert params["name"] == "net"
        assert params["none"] is None
        assert power == 2
        return {"y": (x @ params["w"]) ** power * params["steps"]}

    report = compare(fun, fun, (params, np.arange(3.0), 2))
    assert report.ok, str(report)
    assert [leaf.path for leaf in report.cases[0].leaves] == ["y", "0/w", "1"]


def test_arrays_of_either_framework_as_inputs():
    def fun(a, b, c):
        return a * b * c

    inputs = (jnp.ones(2), torch.ones(2, requires_grad=True), 3.0)
    assert compare(fun, fun, inputs).verdict is Verdict.IDENTICAL


def test_the_cotangent_is_not_ones():
    """A sum of softmax is 1: with ones as cotangents, its gradient is zero and proves nothing."""
    x = np.random.default_rng(0).normal(size=8)
    report = compare(jax.nn.softmax, lambda x: torch.softmax(x, 0), (x,), orders=("vjp",))
    assert np.abs(report.cases[0].leaves[0].jax).max() > 0.01
    draw = Seeds("float32").draw_cotangents
    assert draw({"y": ((), False)}) == {"y": 1.0}
    seeds = draw({"y": ((4,), False), "z": ((4,), False), "s": ((), False)})
    assert (seeds["y"] != seeds["z"]).all()
    assert seeds["s"] not in (0.0, 1.0)
    assert (seeds["y"] == draw({"y": ((4,), False)})["y"]).all()
    probed = Seeds("float32", probe=1).draw_cotangents({"y": ((4,), False)})["y"]
    assert set(np.abs(probed.view(np.int32) - seeds["y"].view(np.int32))) == {1}


def test_two_scalars_that_swap_their_detach_are_told_apart():
    """With a cotangent of 1 for both, the sum of their gradients would be the same."""
    report = compare(
        lambda x: {"loss": jax.lax.stop_gradient(x**2), "log": x**2},
        lambda x: {"loss": x**2, "log": (x**2).detach()},
        (3.0,),
    )
    assert report.verdict is Verdict.MISMATCH


@pytest.mark.parametrize("number", [0.1, np.float32(0.1), np.float64(0.1)], ids=["py", "f4", "f8"])
def test_a_number_among_the_outputs_is_a_scalar_on_both_sides(number):
    def fun(x):
        return {"loss": (x**2).sum(), "rate": float(number)}

    assert compare(fun, fun, (np.linspace(0.1, 3, 50),)).ok
    assert compare(lambda x: 1.5, lambda x: 1.5, (np.ones(2),)).ok


def test_an_unused_input_has_a_zero_gradient_on_both_sides():
    report = compare(lambda x, y: x * 2, lambda x, y: x * 2, (np.ones(2), np.ones(3)))
    assert report.ok
    assert report.cases[0].leaves[-1].torch == [0.0, 0.0, 0.0]


def test_a_detached_output_has_a_zero_gradient_on_both_sides():
    assert compare(jax.lax.stop_gradient, torch.detach, (np.ones(2),)).ok


# --- guards ----------------------------------------------------------------------------------


def test_both_sides_get_the_same_numbers_at_both_dtypes():
    """0.1 is not a float32: the float64 runs must start from the float32 next to it."""
    seen = []

    def record(x):
        seen.append(np.asarray(x.detach() if isinstance(x, torch.Tensor) else x))
        return x * 1.0

    compare(record, record, (np.array([0.1, 1e-3]),), orders=("value",))
    exact = {tuple(x.astype(np.float64)) for x in seen}
    assert tuple(np.float32([0.1, 1e-3]).astype(np.float64)) in exact
    assert (0.1, 1e-3) not in exact
    assert {x.dtype.name for x in seen} == {"float32", "float64"}


def test_inputs_are_never_modified():
    x = np.ones(3, np.float32)
    t = torch.ones(3)

    def spoil(x, t):
        x *= 0
        t += 1
        return x + t

    compare(lambda x, t: x * 0 + t + 1, spoil, (x, t), orders=("value",))
    np.testing.assert_array_equal(x, 1)
    assert (t == 1).all()
    assert t.grad is None


def test_donated_inputs_of_one_run_are_not_missing_in_the_next():
    donating = jax.jit(lambda x: x + 1, donate_argnums=0)
    assert compare(donating, lambda x: x + 1, (np.ones(4),)).ok


def test_a_dict_that_a_function_empties_is_whole_again_in_the_next_run():
    assert compare(lambda d: d.pop("a") ** 2, lambda d: d.pop("a") ** 2, ({"a": np.ones(2)},)).ok


def test_under_inference_mode():
    with torch.inference_mode():
        assert compare(jnp.sin, torch.sin, (np.ones(2),)).ok


def test_numpy_that_raises_on_underflow_does_not_stop_a_comparison():
    with np.errstate(all="raise"):
        assert compare(jnp.sin, torch.sin, (np.float32([1e-45, 1.0]),), orders=("value",)).ok


def test_torchs_named_results_are_tuples():
    x = np.random.default_rng(0).normal(size=(3, 4))
    report = compare(lambda x: (jnp.max(x, 0), jnp.argmax(x, 0)), lambda x: torch.max(x, 0), (x,))
    assert report.ok, str(report)


def test_settings_are_as_they_were_even_after_an_exception():
    def meddle(x):
        torch.set_grad_enabled(False)
        torch.set_default_dtype(torch.float16)
        torch.set_num_threads(1)
        torch.set_default_device("meta")
        torch.manual_seed(3)
        torch.set_float32_matmul_precision("medium")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.autograd.set_detect_anomaly(True, check_nan=False)
        raise KeyError("stop")

    def meddle_jax(x):
        functional_ad.set_grad_enabled(False)
        jax.config.update("jax_default_matmul_precision", "bfloat16")
        jax.config.update("jax_debug_nans", True)
        if x.dtype == jnp.float64:
            raise KeyError("stop")
        return x

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.manual_seed(7)
    want = torch.rand(3)
    torch.manual_seed(7)
    for jax_fn, torch_fn in ((lambda x: x, meddle), (meddle_jax, lambda x: x)):
        with pytest.raises(KeyError):
            compare(jax_fn, torch_fn, (np.ones(2),), orders=("value",))
    try:
        assert torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float32
        assert torch.get_num_threads() == 2
        assert (torch.rand(3) == want).all()
        # No mode is left around torch's calls either: it drops l1_loss's weight, in torch 2.13.
        assert torch.overrides._get_current_function_mode_stack() == []
        assert not jax.config.jax_enable_x64
        assert functional_ad.is_grad_enabled()
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.are_deterministic_algorithms_enabled()
        assert not torch.is_anomaly_enabled()
        assert torch.is_anomaly_check_nan_enabled()
        assert jax.config.jax_default_matmul_precision is None
        assert not jax.config.jax_debug_nans
    finally:
        torch.set_num_threads(threads)


def test_every_run_starts_from_the_same_random_states_and_leaves_them():
    """Dropout, or noise that a function draws from NumPy, is the same numbers in every run."""
    drawn = []

    def draw(x):
        drawn.append(
            (random.random(), np.random.rand(), float(torch.rand((), dtype=torch.float64)))
        )
        return x

    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    want = (random.random(), np.random.rand(), float(torch.rand((), dtype=torch.float64)))
    random.seed(1)
    np.random.seed(2)
    torch.manual_seed(3)
    compare(lambda x: x, draw, (np.ones(2),), orders=("value",))

    def draw_in_jax(x):
        drawn.append((random.random(), np.random.rand(), want[2]))
        return x

    compare(draw_in_jax, lambda x: x, (np.ones(2),), orders=("value",))
    assert len(drawn) > 8
    assert set(drawn) == {want}
    assert (random.random(), np.random.rand(), float(torch.rand((), dtype=torch.float64))) == want


def test_a_side_that_gives_another_result_each_time_is_measured_and_reported():
    """Such as sums by atomic operations: what the same run does twice is no difference."""
    calls = iter(range(1000))

    def wobble(x):
        # A wobble of 2e-4 where rounding explains 1e-6; at float64 it is as much smaller.
        size = 1e-4 if x.dtype == torch.float32 else 1e-13
        return torch.tanh(x) * (1 + size * (-1) ** next(calls))

    x = np.linspace(0.5, 1, 9)
    (leaf,) = compare(jnp.tanh, wobble, (x,), orders=("value",)).cases[0].leaves
    assert leaf.verdict is Verdict.AGREES, leaf.reason
    assert "The same run gave results up to 0.00015" in leaf.reason
    steady = compare(
        lambda x: jnp.tanh(x) * (1 + (1e-4 if x.dtype == jnp.float32 else 0)), torch.tanh, (x,)
    )
    assert steady.verdict is not Verdict.AGREES, "without the wobble it is an error"


def test_a_session_that_runs_at_float64_is_left_at_float64():
    torch.set_default_dtype(torch.float64)
    try:
        with jax.enable_x64(True):
            report = compare(jnp.sin, torch.sin, (np.ones(2),))
            assert jnp.ones(1).dtype == jnp.float64
        assert not jax.config.jax_enable_x64, "it was on in this context only"
        assert torch.get_default_dtype() == torch.float64
        assert report.cases[0].leaves[0].dtype == "float32"
    finally:
        torch.set_default_dtype(torch.float32)


def test_gradients_switched_off_outside_are_on_inside():
    with functional_ad.set_grad_enabled(False), torch.no_grad():
        assert compare(jnp.sin, torch.sin, (np.ones(2),)).ok


def test_new_tensors_have_the_dtype_of_the_run():
    """torch.ones(()) without a dtype is float64 in the float64 run, as jnp.ones(()) is."""
    report = compare(
        lambda x: {"y": x, "one": jnp.ones(()) / 3},
        lambda x: {"y": x, "one": torch.ones(()) / 3},
        (np.ones(2),),
        orders=("value",),
    )
    assert report.ok, str(report)


# --- errors ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (
            {"inputs": np.ones(2)},
            TypeError,
            "must be a tuple of positional arguments.\n  expected: tuple\n  got:      ndarray\n"
            "For one argument write `inputs=(x,)`.",
        ),
        (
            {"orders": ("grad",)},
            ValueError,
            "`compare(orders=...)` must name at least one quantity to compare.\n"
            "  expected: a tuple of some of 'value', 'vjp', 'jvp', 'hvp'\n  got:      ('grad',)",
        ),
        ({"orders": "value"}, ValueError, "got:      'value'"),
        (
            {"inputs": (np.array([2**40, 5]),)},
            ValueError,
            "expected: values that fit int32\n  got:      int64 from 5 to 1099511627776\n",
        ),
        ({"inputs": (np.ones(2), 2**40)}, ValueError, "expected: values that fit int32\n"),
        ({"inputs": (jax.random.key(0),)}, TypeError, "`compare(inputs=...)` must hold arrays"),
        ({"orders": ()}, ValueError, "must name at least one quantity to compare"),
        (
            {"dtype": "float8"},
            ValueError,
            "expected: 'float32' or 'bfloat16' or 'float16' or 'complex64'\n  got:      'float8'",
        ),
        (
            {"inputs": (np.ones(2) * 1j,), "dtype": "float16"},
            TypeError,
            "expected: an array with a dtype that float16 has room for\n"
            "  got:      ndarray with dtype complex128\n"
            "Close over what is no array; compare complex arrays at float32 or complex64.",
        ),
        (
            {"jax_fn": ({"w": 1.0}, 2.0)},
            TypeError,
            "expected: (convert, apply), where convert makes JAX's parameters of PyTorch's\n"
            "  got:      a tuple of dict, float\n",
        ),
        ({"name": "a/"}, ValueError, "must be slash-separated; got 'a/'"),
    ],
    ids=str,
)
def test_bad_arguments(arguments, error, text):
    with pytest.raises(error) as caught:
        compare(**{"jax_fn": jnp.sin, "torch_fn": torch.sin, "inputs": (np.ones(2),), **arguments})
    assert text in str(caught.value)


def test_what_is_no_array_is_refused_with_its_path():
    for leaf in ("text", object(), torch.nn.Linear(1, 1)):
        with pytest.raises(TypeError, match="Return the arrays in it") as caught:
            compare(lambda x: {"y": x}, lambda x, leaf=leaf: {"y": leaf}, (np.ones(2),), ("value",))
        assert "The PyTorch side must return" in str(caught.value)
        assert "at 'y'" in str(caught.value)


def test_a_coarser_output_of_one_side_is_a_difference_of_dtypes():
    for jax_fn, torch_fn in (
        (lambda x: x.astype(jnp.bfloat16), lambda x: x),
        (lambda x: x, lambda x: x.bfloat16()),
    ):
        report = compare(jax_fn, torch_fn, (np.ones(2),), orders=("value",))
        assert report.verdict is Verdict.STRUCTURE
        assert "bfloat16" in report.cases[0].leaves[0].reason


class Doubling:
    """A callable object, as a module is."""

    def __call__(self, x):
        return 2 * x


@pytest.mark.parametrize(
    ("fn", "source"),
    [
        (functools.partial(Doubling.__call__, None), "def __call__(self, x):"),
        (Doubling(), "class Doubling:"),
        (np.sin, "sin"),
        (jax.jit(lambda x: x + 1), "(jax.jit(lambda x: x + 1),"),
    ],
    ids=["partial", "object", "builtin", "jitted"],
)
def test_the_source_of_anything_that_can_be_called(fn, source):
    """Never its repr: a memory address would make two runs' reports differ."""
    assert read_source(fn).startswith(source)
    assert " at 0x" not in read_source(fn)


def test_an_order_that_is_named_twice_is_compared_once():
    report = compare(jnp.sin, torch.sin, (np.ones(2),), orders=("value", "value"))
    assert len(report.cases[0].leaves) == 1


def test_leaves_of_one_path_are_not_dropped():
    def fun(x):
        return {"a": {"b": x * 100}, "a/b": x}

    with pytest.raises(ValueError, match="Two leaves have the path 'a/b'"):
        compare(fun, fun, (np.ones(2),))


@pytest.mark.parametrize(
    "jax_fn", [lambda x: x[:, None], lambda x: (x, x)], ids=["shape", "one more output"]
)
def test_gradients_of_other_outputs_prove_nothing(jax_fn):
    report = compare(jax_fn, lambda x: x, (np.ones(3),), orders=("vjp",))
    assert report.verdict is Verdict.STRUCTURE


def test_comparing_nothing_is_a_failure():
    with pytest.raises(ValueError, match="Nothing was compared: neither function returned"):
        compare(lambda: {}, lambda: None, (), orders=("value",))
    with pytest.raises(ValueError, match="Nothing was compared"):
        compare(lambda x: x[:0], lambda x: x[:0] * 5, (np.ones(3),), orders=("value",))
    for fun, x in ((lambda x: x.argmax(), np.ones(3)), (lambda x: x + 1, np.arange(3))):
        with pytest.raises(ValueError, match="Nothing was compared as 'vjp'"):
            compare(fun, fun, (x,))


def fail(x):
    raise KeyError("lost")


def test_an_exception_says_which_side_at_which_dtype():
    with pytest.raises(KeyError) as caught:
        compare(jnp.sin, fail, (np.ones(2),))
    assert caught.value.__notes__ == ["PyTorch side, at float32"]


def test_a_case_that_raises_fails_and_the_others_still_run():
    good = ParityCase(name="good", title="", jax=jnp.sin, torch=torch.sin, inputs=(1.0,))
    bad = ParityCase(name="bad", title="", jax=fail, torch=torch.sin, inputs=(1.0,))
    empty = ParityCase(name="empty", title="", jax=lambda: (), torch=lambda: ())
    seen = []
    report = run_cases([bad, good, empty], on_result=lambda result: seen.append(result.name))
    assert seen == ["bad", "good", "empty"]
    assert [case.verdict for case in report.cases] == ["STRUCTURE", "IDENTICAL", "STRUCTURE"]
    error = report.cases[0].error
    assert error.startswith("JAX side, at float32: ")
    assert f"{__file__}, line " in error
    assert "in fail\nKeyError: 'lost'" in error
    assert "Nothing was compared" in report.cases[2].error
    assert not report.ok


def test_the_line_of_the_users_own_file_is_named():
    """JAX adds notes and frames of its own to an exception; neither belongs into the report."""

    def wrong_shapes(x):
        return x @ jnp.ones((7, 2))

    def leave(x):
        raise SystemExit(7)

    cases = [
        ParityCase(name="a", title="", jax=wrong_shapes, torch=torch.sin, inputs=(np.ones(3),)),
        ParityCase(name="b", title="", jax=jnp.sin, torch=leave, inputs=(np.ones(3),)),
    ]
    first, second = (case.error for case in run_cases(cases).cases)
    assert first.startswith(f"JAX side, at float32: {__file__}, line ")
    assert first.splitlines()[0].endswith("in wrong_shapes")
    assert first.splitlines()[1].startswith("TypeError: ")
    assert "internal frames" not in first
    assert second.startswith(f"PyTorch side, at float32: {__file__}, line ")
    assert second.endswith("in leave\nSystemExit: 7")


def test_no_case_at_all_is_a_failure():
    assert not run_cases([]).ok


# --- inputs ----------------------------------------------------------------------------------


def test_prepared_inputs_are_copies_at_the_working_dtype():
    x = np.ones(2)
    prepared = prepare_inputs((x, 2, True, "text", None, [np.arange(2)]), "float32")
    assert prepared[0].dtype == np.float32
    prepared[0][0] = 5
    assert x[0] == 1
    assert prepared[1:5] == (2, True, "text", None)
    assert prepared[5][0].dtype == np.arange(2).dtype


def test_a_probe_moves_each_element_by_a_last_bit():
    x = np.concatenate([np.random.default_rng(0).normal(size=300), [0.0]]).astype(np.float32)
    (moved, other), (again, _) = perturb((x, x), 1), perturb((x, x), 1)
    steps = moved[:-1].view(np.int32) - x[:-1].view(np.int32)
    assert set(np.unique(steps)) == {-1, 1}
    assert moved[-1] == 0.0
    np.testing.assert_array_equal(moved, again)
    assert (moved != other).any(), "inputs of one size move apart"
    assert (perturb((x,), 2)[0] != moved).any()
    assert perturb((3, np.arange(2)), 0)[0] == 3
    scalars = {float(perturb((np.ones((), np.float32),), probe)[0]) for probe in range(4)}
    assert 1.0 not in scalars
    assert len(scalars) == 2, "up in one probe and down in another"


def test_the_cotangent_is_not_what_people_draw_their_inputs_with():
    """A backward pass that forgets the cotangent would be right with g = x."""
    x = np.random.default_rng(0).normal(size=(6, 8))

    @jax.custom_vjp
    def forgetful(x):
        return 0.5 * x * x

    forgetful.defvjp(lambda x: (0.5 * x * x, x), lambda x, ct: (ct * ct,))
    assert compare(forgetful, lambda x: 0.5 * x * x, (x,)).verdict is Verdict.MISMATCH


def test_integers_that_overflow_on_the_jax_side_only_at_float32():
    i = np.full(4, 2**30, np.int32)
    report = compare(lambda i: i.sum(), lambda i: i.sum(), (i,), orders=("value",))
    assert report.verdict is Verdict.MISMATCH
    assert "JAX's 32 bits overflow" in report.cases[0].leaves[0].reason


def test_inputs_of_unusual_layout_are_read_as_they_are():
    z = torch.tensor([1 + 2j, 3 - 1j]).conj().imag  # a view with its sign still to be changed
    assert compare(jnp.sin, torch.sin, (z,)).ok
    i = np.array([0, 1, 2], ">i4")
    assert compare(lambda i: i + 1, lambda i: i + 1, (i,), orders=("value",)).ok
    assert compare(jnp.sign, torch.sgn, (np.array([1.0, -2.0]),)).ok, "a zero tensor as gradient"


def test_under_autocast():
    x, w = np.random.default_rng(0).normal(size=(2, 4, 4))
    with torch.autocast("cpu", torch.bfloat16):
        assert compare(lambda x, w: x @ w, lambda x, w: x @ w, (x, w)).ok


def test_what_overflows_in_the_cast_is_refused():
    with pytest.raises(ValueError, match="must hold numbers that the working dtype has room for"):
        compare(jnp.sin, torch.sin, (np.array([1e6]),), dtype="float16")


def test_a_librarys_function_is_shown_by_its_name_and_a_module_by_what_it_holds():
    assert read_source(jnp.tanh) == "jax.numpy.tanh" or "tanh" in read_source(jnp.tanh)
    assert len(read_source(jnp.median)) < 60
    case = ParityCase(name="a", title="", jax=jnp.sin, torch=torch.nn.Sequential(torch.nn.ReLU()))
    assert read_source(case.torch) == repr(torch.nn.Sequential(torch.nn.ReLU()))

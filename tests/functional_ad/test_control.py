"""no_grad, set_grad_enabled, is_grad_enabled: what they stop, and for whom."""

import functools
import threading

import jax
import jax.numpy as jnp
import pytest

import functional_ad as fad


def test_no_grad_stops_arguments_and_closures_in_reverse_and_forward_mode():
    def fun(w, x):
        @fad.no_grad
        def inner(x):
            return w * x**2

        return inner(x) * w * x

    # d/dw and d/dx of c * w * x with c = w * x**2 held fixed at w=2, x=3: integers, exact
    assert jax.grad(fun, (0, 1))(2.0, 3.0) == (18 * 3.0, 18 * 2.0)
    assert jax.jvp(fun, (2.0, 3.0), (1.0, 0.0))[1] == 54.0
    assert jax.hessian(fun)(2.0, 3.0) == 0.0


def test_no_grad_keeps_python_control_flow_strings_and_pytrees():
    @fad.no_grad
    def choose(x, mode, *, negate):
        if mode == "abs" and x < 0:  # decided by the value, which eager gradients know
            x = -x
        return {"x": -x if negate else x, "mode": mode, "n": 3, "nothing": None}

    output = {}

    def fun(x):
        output.update(choose(x, "abs", negate=True))
        return output["x"] * x

    assert jax.grad(fun)(-2.0) == -2.0
    assert (output["mode"], output["n"], output["nothing"]) == ("abs", 3, None)


def test_no_grad_lets_a_callback_without_a_derivative_pass():
    def double(x):
        return jax.pure_callback(lambda a: a * 2, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    x = jnp.arange(3.0)
    with pytest.raises(ValueError, match="callbacks do not support JVP"):
        jax.grad(lambda x: jnp.sum(double(x)))(x)
    assert (jax.grad(lambda x: jnp.sum(fad.no_grad(double)(x) * x))(x) == 2 * x).all()


def test_a_gradient_taken_inside_no_grad_is_a_gradient():
    @fad.no_grad
    def slope(x):
        return jax.grad(lambda x: x**3)(x)

    assert slope(2.0) == 12.0
    assert jax.grad(slope)(2.0) == 0.0


def test_no_grad_wraps_methods_and_keeps_their_names():
    class Model:
        @fad.no_grad
        def predict(self, x):
            """Twice x."""
            return 2 * x

    assert (Model.predict.__name__, Model.predict.__doc__) == ("predict", "Twice x.")
    assert jax.grad(Model().predict)(3.0) == 0.0


class Module:
    pass


async def coroutine(x):
    return x


@pytest.mark.parametrize(
    "fn", [None, 3, Module, coroutine, lambda: (yield 1)], ids=lambda fn: type(fn).__name__
)
def test_no_grad_refuses_what_does_not_return_its_result(fn):
    with pytest.raises(fad.ArgumentError, match="must get a function that returns its result") as e:
        fad.no_grad(fn)
    assert "as in `@no_grad` without parentheses" in str(e.value)


class Box:
    """Not a pytree: a leaf that might hold anything."""


@pytest.mark.parametrize(
    "make",
    [
        lambda x: lambda y: x * y,
        lambda x: iter([x]),
        lambda x: functools.partial(jnp.add, x),
        lambda x: jax.tree_util.Partial(lambda y: x * y),
        lambda x: Box(),
        lambda x: {x},
        lambda x: jnp.float32,
    ],
    ids=["function", "iterator", "partial", "Partial", "object", "set", "class"],
)
def test_no_grad_refuses_results_through_which_a_gradient_could_pass(make):
    with pytest.raises(fad.ArgumentError, match="needs a function that returns values") as e:
        fad.no_grad(lambda x: {"x": x, "leak": make(x)})(1.0)
    assert "  got:      'leak': " in str(e.value)


def test_no_grad_returns_a_changed_tree_instead_of_changing_it():
    @fad.no_grad
    def update(params):
        params["w"] = params["w"] - 1.0
        return params

    params = {"w": 2.0}
    assert (update(params), params) == ({"w": 1.0}, {"w": 2.0})


def square(x):
    return jnp.sum(x**2)


GUARDED = {
    "value_and_grad": lambda x: fad.value_and_grad(square)(x),
    "vjp": lambda x: fad.vjp(square, x),
    "accumulate_grads": lambda x: fad.accumulate_grads(lambda w, b: square(w * b), 1)(x, x),
}


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("name", GUARDED)
def test_the_library_refuses_while_gradients_are_off(name, jitted):
    fn = jax.jit(GUARDED[name]) if jitted else GUARDED[name]
    x = jnp.ones(2)
    before = fn(x)
    with fad.set_grad_enabled(False), pytest.raises(fad.GradModeError) as caught:
        fn(x)  # jitted before: the cache must not answer
    assert str(caught.value) == (
        f"`functional_ad.{name}` was called while gradients are off.\n"
        "  expected: set_grad_enabled(True), the default\n"
        "  got:      set_grad_enabled(False), in effect in this thread\n"
        "Move the call out of the `with set_grad_enabled(False):` block, or call "
        "`set_grad_enabled(True)`."
    )
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), fn(x), before))


def test_the_mode_is_restored_by_the_block_even_after_an_exception():
    def work():
        with fad.set_grad_enabled(False):
            with fad.set_grad_enabled(True):
                assert fad.is_grad_enabled()
            assert not fad.is_grad_enabled()
            return 1 / 0

    with pytest.raises(ZeroDivisionError):
        work()
    assert fad.is_grad_enabled()


def test_as_a_call_it_holds_until_the_next_call():
    """PyTorch's global form; in a thread of its own, which then cannot spoil other tests."""
    seen = []

    def work():
        fad.set_grad_enabled(False)
        seen.append(fad.is_grad_enabled())
        try:
            fad.vjp(square, 1.0)
        except fad.GradModeError:
            seen.append("refused")
        fad.set_grad_enabled(True)
        seen.append(fad.is_grad_enabled())
        seen.append(float(fad.vjp(square, 3.0)[1]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False, "refused", True, 6.0]


def test_the_mode_belongs_to_a_thread():
    seen = []
    with fad.set_grad_enabled(False):
        thread = threading.Thread(target=lambda: seen.append(fad.is_grad_enabled()))
        thread.start()
        thread.join()
        assert not fad.is_grad_enabled()
    assert seen == [True]


def test_jax_itself_goes_on_differentiating():
    with fad.set_grad_enabled(False):
        assert jax.grad(square)(3.0) == 6.0


@pytest.mark.parametrize("mode", [0, None, "off", jnp.bool_(True)], ids=str)
def test_the_mode_is_a_bool(mode):
    with pytest.raises(fad.ArgumentError, match=r"set_grad_enabled\(mode=...\)` must be a bool"):
        fad.set_grad_enabled(mode)
    assert fad.is_grad_enabled()


def test_as_a_decorator_it_holds_during_each_call():
    @fad.set_grad_enabled(False)
    def evaluate(x):
        return fad.is_grad_enabled(), x

    assert fad.is_grad_enabled(), "not from the decoration on"
    assert evaluate(3) == (False, 3)
    assert fad.is_grad_enabled()
    assert evaluate.__name__ == "evaluate"


def generator():
    yield 1


@pytest.mark.parametrize("fn", [generator, coroutine, Module], ids=lambda fn: fn.__name__)
def test_as_a_decorator_it_refuses_what_works_only_after_the_call(fn):
    with pytest.raises(fad.ArgumentError) as caught:
        fad.set_grad_enabled(False)(fn)
    assert str(caught.value).startswith(
        "`functional_ad.set_grad_enabled(mode)(fn)` must get a function that returns its result.\n"
        "  expected: a function, as in `@set_grad_enabled(False)`\n"
    )
    assert fad.is_grad_enabled()


def test_one_object_can_be_entered_again():
    off = fad.set_grad_enabled(False)
    for _ in range(2):
        with off:
            assert not fad.is_grad_enabled()
        assert fad.is_grad_enabled()


def test_torchs_parentheses_get_an_answer():
    with pytest.raises(fad.ArgumentError, match="as in `@no_grad` without parentheses"):
        fad.no_grad()


def test_it_says_what_it_is():
    with fad.set_grad_enabled(True) as nothing:
        assert nothing is None
    assert repr(fad.set_grad_enabled(True)) == "set_grad_enabled(True)"

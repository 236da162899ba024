"""The exceptions of the library, and the one shape that their texts have.

    FunctionalADError
    ├── SelectionError (ValueError)   a selection of leaves that cannot be made
    ├── LeafTypeError (TypeError)     a leaf that cannot have a gradient
    ├── ArgumentError (TypeError)     an argument of the wrong kind
    ├── OutputError (TypeError)       a function whose output cannot be differentiated as asked
    ├── CotangentError (TypeError)    a cotangent that does not fit the output
    ├── MicrobatchError (ValueError)  a batch that cannot be split as asked
    ├── PrimitiveError (NotImplementedError)  an operation that a function here cannot pass
    ├── MissingExtraError (ImportError)  a package of an extra is not installed
    └── GradModeError (RuntimeError)  a gradient asked for while gradients are off

Each is also the built-in exception that Python programmers expect for such a mistake, so
``except ValueError`` and ``except TypeError`` go on working.
"""

from __future__ import annotations

from collections.abc import Iterable


class FunctionalADError(Exception):
    """Base of every exception that this library raises on purpose.

    PyTorch raises ``RuntimeError`` for nearly all of these.

    Example:
        >>> import functional_ad
        >>> try:
        ...     functional_ad.select({"w": 1.0}, "bias")
        ... except functional_ad.FunctionalADError as error:
        ...     print(type(error).__name__)
        SelectionError
    """


class SelectionError(FunctionalADError, ValueError):
    """A selection that matches nothing, selects nothing, or has another structure.

    PyTorch has no counterpart: a misspelt name in ``requires_grad_`` code is silently skipped.

    Example:
        >>> import functional_ad
        >>> functional_ad.select({"w": 1.0, "b": 0.0}, "bias")
        Traceback (most recent call last):
            ...
        functional_ad.SelectionError: `functional_ad.select(where=...)` has a pattern that matches no leaf.
          expected: a prefix or glob of: 'b', 'w'
          got:      'bias'
        Write the path of a leaf or of a subtree, e.g. 'b'.
    """  # noqa: E501 - the text as it is printed


class LeafTypeError(FunctionalADError, TypeError):
    """A leaf that is not floating-point was asked to have a gradient.

    PyTorch's "only Tensors of floating point and complex dtype can require gradients".

    Example:
        >>> import functional_ad
        >>> functional_ad.select({"w": 1.0, "step": 3}, ["w", "step"])
        Traceback (most recent call last):
            ...
        functional_ad.LeafTypeError: `functional_ad.select(where=...)` selects a leaf that cannot have a gradient.
          expected: floating-point or complex leaves
          got:      'step': int
        Leave it out of `where`, or cast it to a floating dtype.
    """  # noqa: E501 - the text as it is printed


class ArgumentError(FunctionalADError, TypeError):
    """An argument is of a kind that the function cannot use.

    Example:
        >>> import functional_ad
        >>> functional_ad.set_grad_enabled("off")
        Traceback (most recent call last):
            ...
        functional_ad.ArgumentError: `functional_ad.set_grad_enabled(mode=...)` must be a bool.
          expected: True or False
          got:      'off' (str)
        Write `set_grad_enabled(False)`.
    """


class OutputError(FunctionalADError, TypeError):
    """A function's output cannot be differentiated in the way asked for.

    PyTorch's "grad can be implicitly created only for scalar outputs".

    Example:
        >>> import functional_ad, jax.numpy as jnp
        >>> functional_ad.vjp(lambda x: 2 * x, jnp.ones(3))
        Traceback (most recent call last):
            ...
        functional_ad.OutputError: `functional_ad.vjp(cotangent=...)` can be left out only for one real scalar output.
          expected: one floating-point output with one element
          got:      float32[3]
        Pass `cotangent=` of the output's shape (torch: `gradient`), or reduce the output first, e.g. with `jnp.mean`.
    """  # noqa: E501 - the text as it is printed


class CotangentError(FunctionalADError, TypeError):
    """A cotangent has another tree, shape or dtype than the output it belongs to.

    PyTorch's "Mismatch in shape: grad_output[0] has a shape of ...".

    Example:
        >>> import functional_ad, jax.numpy as jnp
        >>> functional_ad.vjp(lambda x: 2 * x, jnp.ones(3), cotangent=jnp.ones(2))
        Traceback (most recent call last):
            ...
        functional_ad.CotangentError: `functional_ad.vjp(cotangent=...)` must have the shape and dtype of the output.
          expected: float32[3]
          got:      float32[2]
        Build it with `jnp.ones_like(output)`, or cast it with `.astype`.
    """  # noqa: E501 - the text as it is printed


class MicrobatchError(FunctionalADError, ValueError):
    """A batch cannot be split into the microbatches asked for, or their loss cannot be weighted.

    PyTorch has no counterpart: ``Tensor.chunk`` returns fewer or smaller chunks without a word.

    Example:
        >>> import functional_ad, jax.numpy as jnp
        >>> step = functional_ad.accumulate_grads(lambda w, x: jnp.mean(w * x), 4)
        >>> step(1.0, jnp.ones(10))
        Traceback (most recent call last):
            ...
        functional_ad.MicrobatchError: `functional_ad.accumulate_grads(num_microbatches=...)` must divide the batch.
          expected: a divisor of 10, the length of the leading axis
          got:      4
        Choose 2 or 5, or pad the batch and mask the padding with `weight_fn`.
    """  # noqa: E501 - the text as it is printed


class PrimitiveError(FunctionalADError, NotImplementedError):
    """A function contains an operation of JAX that what was asked for cannot pass.

    PyTorch has no counterpart: its operations have no bodies that a value could be hidden in.

    Example:
        >>> import functional_ad, jax
        >>> @jax.custom_jvp
        ... def double(x):
        ...     return jax.ad_checkpoint.checkpoint_name(2.0 * x, "inside")
        >>> double.defjvps(lambda x_dot, y, x: 2.0 * x_dot)
        >>> functional_ad.intermediate_grads(double)(3.0)
        Traceback (most recent call last):
            ...
        functional_ad.PrimitiveError: `functional_ad.intermediate_grads(fun)` cannot reach a value in this operation.
          expected: tagged values in `jit`, `scan`, `cond`, `checkpoint` or `vmap`
          got:      'inside' in `custom_jvp_call`
        Tag the operation's result instead, or leave the name out of `names`.
    """  # noqa: E501 - the text as it is printed


class MissingExtraError(FunctionalADError, ImportError):
    """A package of one of the extras is not installed.

    Example:
        >>> import sys, unittest.mock, functional_ad
        >>> with unittest.mock.patch.dict(sys.modules, fast_sugiyama=None):  # as if it were not there
        ...     functional_ad.graph(lambda x: 2 * x, 1.0).to_svg()
        Traceback (most recent call last):
            ...
        functional_ad.MissingExtraError: `functional_ad.Graph.to_svg` needs fast-sugiyama, which lays the picture out.
          expected: fast-sugiyama, of the extra `graph`
          got:      no such package
        Run `pip install 'functional-ad[graph]'`, or use `to_mermaid` or `to_dot`.
    """  # noqa: E501 - the text as it is printed


class GradModeError(FunctionalADError, RuntimeError):
    """A gradient was asked for while ``set_grad_enabled(False)`` is in effect.

    Also where ``experimental.no_grad_block`` cannot switch gradients off: it is left out of order, or
    held open by something that waits, or JAX is not known to it.

    PyTorch's "element 0 of tensors does not require grad and does not have a grad_fn".

    Example:
        >>> import functional_ad
        >>> with functional_ad.set_grad_enabled(False):
        ...     functional_ad.value_and_grad(lambda x: x**2)(3.0)
        Traceback (most recent call last):
            ...
        functional_ad.GradModeError: `functional_ad.value_and_grad` was called while gradients are off.
          expected: set_grad_enabled(True), the default
          got:      set_grad_enabled(False), in effect in this thread
        Move the call out of the `with set_grad_enabled(False):` block, or call `set_grad_enabled(True)`.
    """  # noqa: E501 - the text as it is printed


# Users meet the public name in a traceback, and search for that.
for _error in (FunctionalADError, *FunctionalADError.__subclasses__()):
    _error.__module__ = "functional_ad"


def explain(rule: str, *, expected: str, got: str | Iterable[str], fix: str) -> str:
    """Puts an error text into its one shape: rule, expected, got, one fix.

    Args:
        rule: The qualified argument and what holds for it, a sentence.
        expected: What would have been right.
        got: What came; several lines if several places are wrong.
        fix: One thing to do, a sentence.

    Returns:
        The text.
    """
    lines = [got] if isinstance(got, str) else list(got)
    shown = lines[:8] + ([f"... and {len(lines) - 8} more"] if len(lines) > 8 else [])
    return f"{rule}\n  expected: {expected}\n  got:      {(chr(10) + ' ' * 12).join(shown)}\n{fix}"

"""What works on the versions of JAX that it was tested on, and need not work on the next one.

What is here reaches into JAX where JAX promises nothing. It is tested as the rest of the library
is, on the oldest and the newest JAX that the library allows; on a JAX whose inside it does not know
it raises ``GradModeError`` and does nothing. Its names and behaviour may change in any release.
Nothing outside of this package needs it: for each name the public way is in its docstring.
"""

from __future__ import annotations

from functional_ad.experimental._block import no_grad_block as no_grad_block

__all__ = ["no_grad_block"]

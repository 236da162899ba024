"""PyTorch's autograd as pure functions of JAX: the few things that JAX itself does not have."""

from functional_ad._accumulation import accumulate_grads as accumulate_grads
from functional_ad._control import is_grad_enabled as is_grad_enabled
from functional_ad._control import no_grad as no_grad
from functional_ad._control import set_grad_enabled as set_grad_enabled
from functional_ad._errors import ArgumentError as ArgumentError
from functional_ad._errors import CotangentError as CotangentError
from functional_ad._errors import FunctionalADError as FunctionalADError
from functional_ad._errors import GradModeError as GradModeError
from functional_ad._errors import LeafTypeError as LeafTypeError
from functional_ad._errors import MicrobatchError as MicrobatchError
from functional_ad._errors import OutputError as OutputError
from functional_ad._errors import PrimitiveError as PrimitiveError
from functional_ad._errors import SelectionError as SelectionError
from functional_ad._gradients import value_and_grad as value_and_grad
from functional_ad._gradients import vjp as vjp
from functional_ad._leaves import combine as combine
from functional_ad._leaves import partition as partition
from functional_ad._leaves import select as select
from functional_ad._nonfinite import NonFinite as NonFinite
from functional_ad._nonfinite import Range as Range
from functional_ad._nonfinite import first_nonfinite as first_nonfinite

__all__ = [
    "ArgumentError",
    "CotangentError",
    "FunctionalADError",
    "GradModeError",
    "LeafTypeError",
    "MicrobatchError",
    "NonFinite",
    "OutputError",
    "PrimitiveError",
    "Range",
    "SelectionError",
    "accumulate_grads",
    "combine",
    "first_nonfinite",
    "is_grad_enabled",
    "no_grad",
    "partition",
    "select",
    "set_grad_enabled",
    "value_and_grad",
    "vjp",
]

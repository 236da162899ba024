"""PyTorch's autograd as pure functions of JAX: the few things that JAX itself does not have."""

from functional_ad._accumulation import accumulate_grads as accumulate_grads
from functional_ad._clipping import Clipped as Clipped
from functional_ad._clipping import clip_by_norm as clip_by_norm
from functional_ad._connection import connected as connected
from functional_ad._control import is_grad_enabled as is_grad_enabled
from functional_ad._control import no_grad as no_grad
from functional_ad._control import set_grad_enabled as set_grad_enabled
from functional_ad._errors import ArgumentError as ArgumentError
from functional_ad._errors import CotangentError as CotangentError
from functional_ad._errors import FunctionalADError as FunctionalADError
from functional_ad._errors import GradModeError as GradModeError
from functional_ad._errors import LeafTypeError as LeafTypeError
from functional_ad._errors import MicrobatchError as MicrobatchError
from functional_ad._errors import MissingExtraError as MissingExtraError
from functional_ad._errors import OutputError as OutputError
from functional_ad._errors import PrimitiveError as PrimitiveError
from functional_ad._errors import SelectionError as SelectionError
from functional_ad._gradients import value_and_grad as value_and_grad
from functional_ad._gradients import vjp as vjp
from functional_ad._graph import Edge as Edge
from functional_ad._graph import Graph as Graph
from functional_ad._graph import Node as Node
from functional_ad._graph import graph as graph
from functional_ad._hooks import grad_hook as grad_hook
from functional_ad._hooks import scale_grad as scale_grad
from functional_ad._intermediates import intermediate_grads as intermediate_grads
from functional_ad._leaves import combine as combine
from functional_ad._leaves import partition as partition
from functional_ad._leaves import select as select
from functional_ad._loss_scaling import LossScale as LossScale
from functional_ad._nonfinite import NonFinite as NonFinite
from functional_ad._nonfinite import Range as Range
from functional_ad._nonfinite import first_nonfinite as first_nonfinite
from functional_ad._second_order import ggnvp as ggnvp
from functional_ad._second_order import hessian as hessian
from functional_ad._second_order import hvp as hvp
from functional_ad._second_order import jacobian as jacobian

__all__ = [
    "ArgumentError",
    "Clipped",
    "CotangentError",
    "Edge",
    "FunctionalADError",
    "GradModeError",
    "Graph",
    "LeafTypeError",
    "LossScale",
    "MicrobatchError",
    "MissingExtraError",
    "Node",
    "NonFinite",
    "OutputError",
    "PrimitiveError",
    "Range",
    "SelectionError",
    "accumulate_grads",
    "clip_by_norm",
    "combine",
    "connected",
    "first_nonfinite",
    "ggnvp",
    "grad_hook",
    "graph",
    "hessian",
    "hvp",
    "intermediate_grads",
    "is_grad_enabled",
    "jacobian",
    "no_grad",
    "partition",
    "scale_grad",
    "select",
    "set_grad_enabled",
    "value_and_grad",
    "vjp",
]

"""The computation graph with PyTorch's flags (grad_fn, next_functions), and its drawings."""

from __future__ import annotations

from functional_ad._graph._graph import Graph as Graph
from functional_ad._graph._graph import graph as graph
from functional_ad._graph._nodes import Edge as Edge
from functional_ad._graph._nodes import Node as Node

"""The catalogue: one entry per known cause, by topic.

Entries that are likelier come first within a file, and the files in the order in which they are
tried: what a framework's function does before what may be wrong with the inputs and outputs.
"""

from __future__ import annotations

from comparisons._causes._atlas import list_choices
from comparisons._causes._known import Known
from comparisons._causes.catalogue.activations import ACTIVATIONS
from comparisons._causes.catalogue.kinks import KINKS
from comparisons._causes.catalogue.layout import LAYOUT
from comparisons._causes.catalogue.losses import LOSSES
from comparisons._causes.catalogue.norms import NORMS
from comparisons._causes.catalogue.optimizers import OPTIMIZERS
from comparisons._causes.catalogue.precision import PRECISION
from comparisons._causes.catalogue.reductions import REDUCTIONS

_WRITTEN: dict[str, tuple[Known, ...]] = {
    "Activations": ACTIVATIONS,
    "Reductions": REDUCTIONS,
    "Norms": NORMS,
    "Losses": LOSSES,
    "Optimizers": OPTIMIZERS,
    "Layout": LAYOUT,
    "Kinks": KINKS,
    "Precision": PRECISION,
}

# The rows of the atlas that no entry above is for, each by its own substitute.
_CLAIMED = {row for topic in _WRITTEN.values() for known in topic for row in known.rows}
TOPICS: dict[str, tuple[Known, ...]] = {
    **_WRITTEN,
    "The atlas's other choices": list_choices(_CLAIMED),
}

CATALOGUE: tuple[Known, ...] = tuple(known for topic in TOPICS.values() for known in topic)

"""The jit-compiled training script: ``python -m functional_ad.training``, and the same from Python.

Two runs are built in: the tutorial's linear regression on the tutorial's own data, and a
perceptron on scikit-learn's digits. Each logging interval,
by default an epoch, is one jitted ``lax.scan`` with donated state.

Importing this package imports neither typer, rich nor scikit-learn; what needs them asks for
``pip install 'functional-ad[training]'`` where it does not find them.
"""

from __future__ import annotations

from functional_ad.training._config import Config as Config
from functional_ad.training._errors import CheckpointError as CheckpointError
from functional_ad.training._errors import ConfigError as ConfigError
from functional_ad.training._errors import DivergedError as DivergedError
from functional_ad.training._errors import MissingExtraError as MissingExtraError
from functional_ad.training._errors import TrainingError as TrainingError
from functional_ad.training._loop import Interval as Interval
from functional_ad.training._loop import Result as Result
from functional_ad.training._loop import train as train

__all__ = [
    "CheckpointError",
    "Config",
    "ConfigError",
    "DivergedError",
    "Interval",
    "MissingExtraError",
    "Result",
    "TrainingError",
    "train",
]

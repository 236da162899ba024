"""The model that a configuration names."""

from __future__ import annotations

from typing import Final

from functional_ad.training._config import Config
from functional_ad.training._errors import MissingExtraError
from functional_ad.training._models._linear import build_linear
from functional_ad.training._models._model import Model

_SIDE: Final = 8  # of a digit
_CLASSES: Final = 10
_TOKENS: Final = 256  # bytes


def build_model(config: Config) -> Model:
    """Builds the model that the configuration names.

    Raises:
        MissingExtraError: It is a network, and flax is not installed.
    """
    if config.model == "linear":
        return build_linear()
    try:
        # Flax only where there is a network, as it takes half a second to import.
        if config.model == "mlp":
            from functional_ad.training._models._mlp import build_mlp

            return build_mlp(config, inputs=_SIDE**2, classes=_CLASSES)
        if config.model == "cnn":
            from functional_ad.training._models._cnn import build_cnn

            return build_cnn(config, side=_SIDE, classes=_CLASSES)
        from functional_ad.training._models._transformer import build_transformer

        return build_transformer(config, tokens=_TOKENS)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "flax":
            raise
        raise MissingExtraError("flax") from error

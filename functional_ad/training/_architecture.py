"""What is trained on what: the part of a configuration that says the model and the data."""

from __future__ import annotations

import dataclasses
from typing import Final

from functional_ad.training._errors import ConfigError
from functional_ad.training._kinds import Choice, Integer, Number
from functional_ad.training._options import check_options, option

MODELS: Final = ("linear", "mlp", "cnn", "transformer")
NETWORKS: Final = ("mlp", "cnn", "transformer")
DATA: Final = ("tutorial", "digits", "text")

_DATA_OF: Final = {"linear": "tutorial", "mlp": "digits", "cnn": "digits", "transformer": "text"}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """The model, its sizes, and the data: the first fields of `Config`."""

    model: str = option(
        Choice(MODELS),
        "linear: y = a*x + b, as in the tutorial. mlp: a perceptron. cnn: two convolutions and two "
        "linear layers. transformer: predicts the next byte, from all bytes before it.",
        "linear",
    )
    data: str = option(
        Choice(DATA),
        "tutorial: the tutorial's 20 pairs, for linear. digits: scikit-learn's, for mlp and cnn. "
        "text: Python's own help topics, for transformer.",
        "tutorial",
        mlp="digits",
        cnn="digits",
        transformer="text",
    )
    layers: int | None = option(
        Integer(1, 256),
        "Hidden layers of the mlp, or blocks of the transformer.",
        models=("mlp", "transformer"),
        mlp=1,
        transformer=2,
    )
    width: int | None = option(
        Integer(1, 65536),
        "Width of the transformer's blocks (torch: d_model), a multiple of the heads.",
        models=("transformer",),
        transformer=128,
    )
    hidden: int | None = option(
        Integer(1, 8192),
        "Width of the mlp's hidden layers, of the cnn's, or of those in the transformer's blocks "
        "(torch: dim_feedforward).",
        models=NETWORKS,
        mlp=256,
        cnn=128,
        transformer=512,
    )
    heads: int | None = option(
        Integer(1, 1024),
        "Attention heads of the transformer.",
        models=("transformer",),
        transformer=4,
    )
    channels: int | None = option(
        Integer(1, 4096),
        "Channels of the cnn's first convolution; the second has twice as many.",
        models=("cnn",),
        cnn=32,
    )
    context: int | None = option(
        Integer(1, 65536),
        "Bytes in a sequence of the text.",
        models=("transformer",),
        transformer=128,
    )
    dropout: float | None = option(
        Number(low=0.0, below=1.0),
        "The share of hidden values that an update leaves out.",
        models=NETWORKS,
        **dict.fromkeys(NETWORKS, 0.0),
    )

    def __post_init__(self) -> None:
        check_options(self, self.model)
        check_together("data", self.data, _DATA_OF[self.model], self.model)
        if self.width is not None and self.heads is not None and self.width % self.heads:
            expected = f"a multiple of the heads, {self.heads}"
            raise ConfigError("width", expected=expected, got=repr(self.width))


def check_together(field: str, value: object, needed: object, model: str) -> None:
    """Checks a field that must have one value with a model.

    Raises:
        ConfigError: It has another.
    """
    if value != needed:
        expected = "nothing" if needed is None else repr(needed)
        raise ConfigError(field, expected=f"{expected} with the model {model!r}", got=repr(value))

"""The models, each as pure functions of its parameters."""

from __future__ import annotations

from functional_ad.training._models._build import build_model as build_model
from functional_ad.training._models._model import Model as Model
from functional_ad.training._models._model import Params as Params

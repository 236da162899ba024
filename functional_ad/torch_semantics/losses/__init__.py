"""torch.nn.functional's losses as functions of JAX arrays.

All of them, with PyTorch's names, arguments and defaults, its values and gradients, and its second
derivatives where it has them, at kinks and at the ends of ranges too. For all of them:

- `size_average` and `reduce`, which PyTorch has deprecated, are not taken. What stands behind them
  there has to be passed by name here, so that no call of PyTorch's means something else.
- Arguments of different floating dtypes are promoted, and the loss has the dtype that they promote
  to. In half precision it is computed in float32 and rounded once; PyTorch rounds in between.
- Where PyTorch raises because of a value, a label that is out of range or a probability above 1,
  `ArgumentError` is raised here if the value can be seen. Under `jax.jit` it cannot: there the loss
  is NaN.
- Labels may have any integer dtype.
"""

from __future__ import annotations

from functional_ad.torch_semantics.losses._binary import (
    binary_cross_entropy as binary_cross_entropy,
)
from functional_ad.torch_semantics.losses._binary import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
)
from functional_ad.torch_semantics.losses._class_margin import (
    multi_margin_loss as multi_margin_loss,
)
from functional_ad.torch_semantics.losses._class_margin import (
    multilabel_margin_loss as multilabel_margin_loss,
)
from functional_ad.torch_semantics.losses._class_margin import (
    multilabel_soft_margin_loss as multilabel_soft_margin_loss,
)
from functional_ad.torch_semantics.losses._classification import cross_entropy as cross_entropy
from functional_ad.torch_semantics.losses._classification import (
    linear_cross_entropy as linear_cross_entropy,
)
from functional_ad.torch_semantics.losses._classification import nll_loss as nll_loss
from functional_ad.torch_semantics.losses._ctc import ctc_loss as ctc_loss
from functional_ad.torch_semantics.losses._distance import (
    cosine_embedding_loss as cosine_embedding_loss,
)
from functional_ad.torch_semantics.losses._distance import (
    triplet_margin_loss as triplet_margin_loss,
)
from functional_ad.torch_semantics.losses._distance import (
    triplet_margin_with_distance_loss as triplet_margin_with_distance_loss,
)
from functional_ad.torch_semantics.losses._likelihood import (
    gaussian_nll_loss as gaussian_nll_loss,
)
from functional_ad.torch_semantics.losses._likelihood import kl_div as kl_div
from functional_ad.torch_semantics.losses._likelihood import poisson_nll_loss as poisson_nll_loss
from functional_ad.torch_semantics.losses._margin import (
    hinge_embedding_loss as hinge_embedding_loss,
)
from functional_ad.torch_semantics.losses._margin import (
    margin_ranking_loss as margin_ranking_loss,
)
from functional_ad.torch_semantics.losses._margin import soft_margin_loss as soft_margin_loss
from functional_ad.torch_semantics.losses._regression import huber_loss as huber_loss
from functional_ad.torch_semantics.losses._regression import l1_loss as l1_loss
from functional_ad.torch_semantics.losses._regression import mse_loss as mse_loss
from functional_ad.torch_semantics.losses._regression import smooth_l1_loss as smooth_l1_loss

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "cross_entropy",
    "ctc_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "linear_cross_entropy",
    "margin_ranking_loss",
    "mse_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]

"""Where NaN and infinity begin in a function and in its gradient (detect_anomaly)."""

from __future__ import annotations

from functional_ad._nonfinite._answer import NonFinite as NonFinite
from functional_ad._nonfinite._answer import Range as Range
from functional_ad._nonfinite._first import first_nonfinite as first_nonfinite

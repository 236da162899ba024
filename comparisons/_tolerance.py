"""The constants of the verdict, each with its reason. Nothing else in the project tunes one.

A difference is measured against what rounding was seen to do to the very same numbers; these
factors only say how many times that a correct program may reach. Between them and the smallest bug
lies a gap of many orders of magnitude at float64, which is why they need no tuning by hand.
"""

from __future__ import annotations

from typing import Final

# How often the PyTorch side is run with inputs that are off by a last bit. A single run may be
# exact by luck; that four probes and the run itself all are has a chance of about 1e-4 per element,
# and the leaf's median catches those.
PROBES: Final = 4

# How many times the expected float64 rounding noise two equal programs may differ by. Two orders of
# magnitude for luck and for long sums in another order; a difference of 1e-13 of the leaf's
# greatest element is seen, and a usual porting mistake makes one of 1e-3.
NOISE_FACTOR: Final = 256.0

# How many times the one side's error, and how many times what one last bit on the inputs does, the
# other side's error may reach at the working dtype. Four bits: XLA fuses and sums in another order
# than PyTorch, and either may be the lucky one.
ERROR_FACTOR: Final = 16.0

# An error of more than eps to this power, of the leaf's greatest element, is no rounding where the
# other side has none of it: half of the digits are gone. At float32, 3.5e-4.
GROSS_POWER: Final = 0.5

# A float64 gap of no more than this many roundings at float32 is another formula, or a constant
# written with float32's digits (torch's hardsigmoid has such a 1/6), and not a wrong result: no run
# at float32 or less could show it. Counted at float32 also where the working dtype is coarser, or a
# bug of half a per cent would be called an approximation at bfloat16.
APPROXIMATION_EPS: Final = 1.0

# Inputs are jittered by this part of their leaf's greatest element to see whether a difference is
# one of a single point. Small, so that nothing else happens on the way; large against the 1e-16
# by which two sums that tie exactly on paper miss each other at float64.
JITTER: Final = 1e-7

# How often. An element at a kink moves to either side at even chances, so that eight miss one of
# its two sides once in a hundred and more are tried before a difference is called a mismatch: a tie
# of k elements needs about k log k.
JITTERS: Final = (8, 64)

"""The tutorial on torch.autograd, chapter by chapter, in PyTorch and in JAX."""

from comparisons.cases.tutorial import (
    concepts,
    control,
    gradients,
    worked_case,
)

CHAPTERS = (concepts, gradients, control, worked_case)

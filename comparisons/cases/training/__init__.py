"""Whole training runs in PyTorch and in JAX: the same parameters and batches, step by step."""

from comparisons.cases.training import optimizers

CASES = optimizers.CASES

"""The gradient atlas: each operation that both frameworks have, tried, measured and judged."""

"""What the project claims about its speed and cost, measured: ``python -m benchmarks`` runs all."""

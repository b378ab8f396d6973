"""Public benchmarks: one module per benchmark with its named protocols."""

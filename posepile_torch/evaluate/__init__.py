"""Evaluation: predictions in, numbers with their definition out."""

"""Scores, significance, cost and comparison of systems."""

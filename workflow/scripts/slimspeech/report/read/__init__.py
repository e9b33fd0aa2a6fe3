"""Reads an experiment's results for the report."""

"""Reads the results of an experiment for the report."""

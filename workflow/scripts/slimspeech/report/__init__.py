"""The report of an experiment: reads its results, draws charts, writes one page."""

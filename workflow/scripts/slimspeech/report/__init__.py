"""The report of an experiment: what lies in its folder of results, read, drawn and laid out."""

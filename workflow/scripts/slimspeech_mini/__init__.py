"""The mini experiment: a made-up corpus and a small model, so that all of it runs on two cores."""

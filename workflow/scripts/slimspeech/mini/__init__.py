"""The mini world: a made-up corpus and a small model, so that the whole workflow runs on two cores."""

"""All that runs in COMET's own environment."""

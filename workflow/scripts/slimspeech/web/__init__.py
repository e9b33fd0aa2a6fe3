"""The page of `slimspeech serve`: speech in, the translations of several models side by side."""

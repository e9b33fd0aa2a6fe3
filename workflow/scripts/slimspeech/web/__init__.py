"""The page of `slimspeech serve`, which translates speech with several models side by side."""

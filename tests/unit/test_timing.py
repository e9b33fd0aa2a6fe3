"""Of several measurements, what is reported."""

from slimspeech.timing import spread


def test_spread():
    assert spread([3.0, 1.0, 2.0]) == {"median": 2, "low": 1, "high": 3}

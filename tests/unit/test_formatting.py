"""Sizes as people write them."""

import pytest

from slimspeech.formatting import file_size, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("3.4 GB", 3_400_000_000), ("3GiB", 3_221_225_472), ("512 MB", 512_000_000)],
)
def test_a_size_is_in_units_of_a_thousand_or_of_1024(text, size):
    assert parse_size(text) == size


def test_a_size_comes_back():
    assert parse_size(file_size(3_400_000_000)) == 3_400_000_000

"""What stands in place of a large file that git did not fetch."""

# As `git clone` leaves it without git-lfs.
POINTER = """version https://git-lfs.github.com/spec/v1
oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393
size 8388608
"""

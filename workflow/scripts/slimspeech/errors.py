"""The error that a user can fix."""


class InputError(ValueError):
    """An input of the user is wrong. The message names the file and the fix, in one sentence."""

"""The one error a user can mend."""


class InputError(ValueError):
    """Something the user gave is wrong. The message names the file and the fix, in a sentence."""

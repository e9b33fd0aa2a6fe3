"""The errors that a user can fix."""


class InputError(ValueError):
    """An input of the user is wrong. The message names the file and the fix, in one sentence."""


class ServerError(InputError):
    """A server that we ask for translations does not give them."""

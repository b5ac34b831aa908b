"""One class for all that a person can put right: bad YAML, a budget, data, a file, a flag."""


class InputError(ValueError):
    """Bad input: the message is one sentence with place, value and what would be right.

    The command line prints it without a traceback and leaves with exit code 2.
    """

"""What a person can put right: bad YAML, a budget, data, a file, a flag; a cluster that fails."""


class InputError(ValueError):
    """Bad input: the message is one sentence with place, value and what would be right.

    The command line prints it without a traceback and leaves with exit code 2.
    """


class ClusterError(RuntimeError):
    """What trials run on has failed: one sentence. Finished trials are kept, so one can go on."""

"""What ends a job before its end: each is one sentence that says where, what was expected, what was found, what to do."""


class InputError(Exception):
    """The job or the model it names is wrong; nothing of the result depends on trying again. Code 2."""


class Failure(Exception):
    """The work failed: memory, disk, divergence. Code 1."""


class Stopped(Exception):
    """The file `stop` was found; what can be resumed is on disk."""

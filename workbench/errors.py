"""The errors a user can cause. Each message is one sentence: what, where, allowed values."""


class WorkbenchError(ValueError):
    """Something a user asked for that cannot be done; the command line prints it as one line."""


class FormatError(WorkbenchError):
    """A file that is not what it claims to be.

    Attributes
    ----------
    path : str
        The file.
    position : int
        Byte offset at which the fault was found.
    """

    def __init__(self, path, position: int, problem: str):
        self.path = str(path)
        self.position = position
        self.problem = problem
        super().__init__(f"{path}, byte {position}: {problem}")


class UnknownTechniqueError(WorkbenchError):
    """No technique has this name."""

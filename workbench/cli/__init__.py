"""The command line: thin calls of the library, one table or one JSON list, errors of one line."""

from workbench.cli.app import main

__all__ = ["main"]

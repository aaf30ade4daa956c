"""Measuring: size, error and speed, and the nulls and baselines they are held against.

The package is also a function: ``wb.measure(technique, weights)`` makes a report.
"""

import sys
import types

from workbench.measure.compare import compare, pareto
from workbench.measure.report import Report, measure

__all__ = ["Report", "compare", "measure", "pareto"]


class _Measure(types.ModuleType):
    # the public API has the function where the import system puts the package: be both
    def __call__(self, *args, **kwargs):
        """`workbench.measure.report.measure`."""
        return measure(*args, **kwargs)


sys.modules[__name__].__class__ = _Measure

"""Every technique is one module of this package; importing the package registers them all.

The package is also a function: ``wb.techniques()`` lists what is registered.
"""

import importlib
import pkgutil
import sys
import types

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


class _Techniques(types.ModuleType):
    # the public API has the function where the import system puts the package: be both
    def __call__(self):
        """`workbench.techniques.base.techniques`."""
        return self.base.techniques()


sys.modules[__name__].__class__ = _Techniques

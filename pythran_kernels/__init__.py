"""Numeric kernels in Pythran's subset of Python, one family a file.

Import them through workbench.kernels, which takes the compiled twin where there is one.
"""

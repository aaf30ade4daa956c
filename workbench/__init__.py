"""Ternary workbench: what a compression idea is really worth, measured on your own weights.

>>> import workbench as wb
"""

"""Lookup tables for ternary products: the table as it was proposed, and the form that works.

`patterns` numbers groups of trits, `literal` is the proposed table, `independent` and `counting`
say how often patterns occur, `product` multiplies with tables of every pattern, `tiers` with a
dictionary, `codes` makes bases that are near to every pattern, and `tuning` predicts and chooses.
`shared` keeps layers in one file with the patterns that they share, and `layers` counts what that
saves. Times are in `workbench.measure.lookups`; the technique is `lut`.
"""

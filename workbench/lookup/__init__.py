"""Lookup tables for ternary products: the table as it was proposed, and the form that works.

`patterns` numbers groups of trits, `literal` counts the proposed table, `counting` says how often
patterns occur, `dictionary` sorts them into tiers, `coding` stores their indices, `product`
multiplies, and `tuning` chooses.
"""

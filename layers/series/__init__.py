"""Attention over time series.

Letters: B batch, T time steps, D width, H heads, K width of a head. A mask `(B, T)`
says which steps are there. Layers that count in steps, periods or frequencies count the
visible steps of a row alone: a row gives what it would give without its padding,
wherever that is.
"""

"""How figures of cards are written."""


def figure(row, key, digits):
    """Returns `mean ± deviation` of one figure of a card or of one of its baselines.

    Args:
        row: Dict of a card or of a baseline.
        key: Name of the figure; with several seeds `<key>_mean` and `<key>_std`.
        digits: Integer, how many decimals.
    """
    value = row.get(f"{key}_mean", row.get(key))
    spread = row.get(f"{key}_std")
    text = f"{value:.{digits}f}"
    return text if spread is None else f"{text} ± {spread:.{digits}f}"

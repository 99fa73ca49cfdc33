"""Model cards: measurements, figures and plots."""

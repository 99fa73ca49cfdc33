"""Search of a recipe's space."""

"""What every attention layer is made of: scores, normalizers, masks, evaluation."""

"""Training on several devices, processes and hosts."""

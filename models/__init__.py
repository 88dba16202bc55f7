"""Autoencoders that host a prior: `base` (the contract), `vae`, and what they are built of."""

"""Trainings that differ in the seed alone, computed in the same operations by torch.func: each as it would be alone.

A small network's step is mostly the time between its operations. Of S members every parameter and buffer is stacked
into one tensor (S, ...), a player's loss is mapped over them, and one Adam steps them all, while every member's own
`Trainer` validates, keeps, logs and saves as it does alone. Data order and noise are those of each seed alone, so the
losses are, too, up to rounding.
"""

"""What priors are made of, and what they share with models and metrics: no law of its own, and no contract.

What a plug-in needs of these is exported by `priors`.
"""

"""Laws of the contract that need the harness; those of a prior alone are in `priors.conformance`."""

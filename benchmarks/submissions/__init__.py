"""A third party's prior with its claim: what its author measured, and what is found when it is made anew."""

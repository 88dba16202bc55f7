"""Terms added to a model's loss, a file each; `base` is their contract."""

"""One run from its settings to its estimates, and many of them: in workspaces, by executors, with records that nothing
loses."""

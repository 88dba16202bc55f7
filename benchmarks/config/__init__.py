"""From TOML to runs: settings, suites, the catalogue of methods, and the papers' numbers."""

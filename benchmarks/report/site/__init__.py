"""All tables of a folder as pages that link to each other: leaderboards, priors, suites."""

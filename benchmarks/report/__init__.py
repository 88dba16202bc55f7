"""A suite's table, figures and settings as one page of HTML that needs nothing beside it."""

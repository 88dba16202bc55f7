"""What seeds and data sets can tell of methods: paired tests, and ranks."""

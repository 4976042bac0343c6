"""Great Expectations suites: interactions, split integrity, submission. They are heavy: import them inside steps."""

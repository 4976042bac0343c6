"""One file a step of the line: what each asset does, callable without Dagster."""

"""Studies of models beside each other: pairs on one split, ranks over folds, and which split foretells the ranking."""

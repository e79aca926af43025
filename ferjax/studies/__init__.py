"""What is made of several trainings: sweeps, comparisons, folds."""

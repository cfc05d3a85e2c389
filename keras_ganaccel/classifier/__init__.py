"""Teachers and students: building, augmenting, training and distilling classifiers."""

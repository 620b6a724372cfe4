"""Another version of the app in a node that runs: asked for, tried, and taken over between two events."""

"""How long tests with `rimward.testing.Site` take."""

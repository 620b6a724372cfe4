"""The web pages of a running Rimward: what is up, what is wrong, where time goes, what the cloud got."""

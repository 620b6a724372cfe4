"""All four layers on one machine: `rimward dev`, and checking an app before anything runs."""

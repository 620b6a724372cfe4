"""Commands from the cloud to devices."""

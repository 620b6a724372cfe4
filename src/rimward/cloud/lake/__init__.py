"""The lake: where it is, its tables, their upkeep, and questions to them."""

"""What edges lose of what they have acknowledged, in an outage of their cloud."""

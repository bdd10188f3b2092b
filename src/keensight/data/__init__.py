"""Reading, auditing, splitting and caching image sets."""

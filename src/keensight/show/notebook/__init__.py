"""Keensight in Jupyter: cards of records, widgets, and the guided tour."""

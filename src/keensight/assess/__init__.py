"""Evaluation: metrics, intervals, calibration, slices and comparisons."""

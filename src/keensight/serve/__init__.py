"""The HTTP server: a bundle behind ``POST /predict``, with limits, metrics and a graceful stop."""

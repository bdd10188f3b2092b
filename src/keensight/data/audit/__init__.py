"""What is in an image set, and what is wrong with it."""

"""Training: from scratch, or transfer learning from a pretrained network."""

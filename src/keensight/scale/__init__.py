"""More than one machine: what joins Ray to the workflow. Only imported when workers are asked for."""

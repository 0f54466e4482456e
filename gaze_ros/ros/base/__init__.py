"""What all nodes share: lifecycle, parameters, diagnostics, services."""

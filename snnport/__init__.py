"""snnport: port a trained network to neuromorphic hardware, exactly."""

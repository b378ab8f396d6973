"""Human-pose datasets converted once, fed at decoder speed, evaluated like the references."""

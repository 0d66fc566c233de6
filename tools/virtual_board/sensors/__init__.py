"""Sensors on the board's buses: register models that are fed with physical motion."""

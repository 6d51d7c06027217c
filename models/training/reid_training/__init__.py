"""Trains the models that gst-plugin-reid ships: person embedders and the person detector."""

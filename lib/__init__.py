"""One thin library for one paper."""

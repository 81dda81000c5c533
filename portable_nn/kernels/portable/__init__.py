"""The maths of the library in pure Array API: right on every backend, and the measure of every fast kernel."""

"""Facial expression recognition on JAX and Flax."""

__version__ = '0.1.0'

"""Containers, and commands in them."""

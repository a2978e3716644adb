"""A tutorial for a room without a network: what containers fetch is recorded, and replayed."""

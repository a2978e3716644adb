"""What a notebook imports: the Dockerfile that grows, claims, running notebooks."""

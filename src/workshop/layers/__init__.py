"""Look into an image. Useful alone: it needs docker-py or an archive, not the tutorial."""

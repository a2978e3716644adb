"""One build: the grammar of a Dockerfile, BuildKit's progress, the build itself."""

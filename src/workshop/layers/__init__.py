"""Look into an image. Useful alone: it needs docker-py or an archive, not the tutorial.

What each module does; each one may import those before it:

tar         the members of a tar, read forward
layer       what one layer stores, and its whiteouts
archive     a file of `docker save` or in the OCI layout: manifest, configuration, layers
image       layer on layer: what can be seen, what is superseded
kept        what was read before, on disk
sources     an image from an engine, from an archive, or from what is kept
packages    which package a file came with
unwanted    what should not be in an image
answers     the tables of the answers
difference  two images side by side
look        ``look_into``, and a method for each question
"""

"""An image for a project that is not the sample: looked at, asked, written, proved."""

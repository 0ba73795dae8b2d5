"""One loader a public data set: `load(files) -> Loaded`."""

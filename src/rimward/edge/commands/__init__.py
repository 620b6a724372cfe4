"""Commands from the cloud at their node: kept by the deep process, carried out by the I/O process."""

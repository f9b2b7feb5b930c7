"""Exchange: runs as files in the formats of other tools and of linbench, one module per format."""

"""Exchange: runs as files of other tools' forms and of linbench's own, one module a format."""

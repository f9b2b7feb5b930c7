"""What feature maps of linear attention share: the maps, the operator, and implementations."""

"""Linear attention with a feature map that approximates softmax."""

"""A minimal implementation."""

import torch.nn.functional as F

from linbench import implementation


@implementation("linear", "acme")
def acme(q, k, v):
    """Quadratic linear attention in five lines."""
    q, k = F.elu(q) + 1, F.elu(k) + 1
    scores = (q.transpose(1, 2) @ k.permute(0, 2, 3, 1)).tril()
    weights = scores / (scores.sum(-1, keepdim=True) + 1e-6)
    return (weights @ v.transpose(1, 2)).transpose(1, 2)

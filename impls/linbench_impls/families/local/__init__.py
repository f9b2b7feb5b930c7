"""What operators share whose softmax sees only keys nearby: forms, reference and costs."""

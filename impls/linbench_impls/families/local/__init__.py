"""What operators share whose softmax sees only keys nearby: forms, oracle and costs."""

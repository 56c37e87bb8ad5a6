"""What the bench asks of a registered device: operations, observations, PUSH."""

"""The object model, and payloads as values typed by it."""

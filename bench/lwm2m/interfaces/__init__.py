"""What devices ask the server for: bootstrap, registration, information reporting."""

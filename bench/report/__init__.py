"""Renders the Allure results of a run as a report that can be opened in a browser."""

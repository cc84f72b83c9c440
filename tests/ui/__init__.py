"""Tests of the app, with and without a browser."""

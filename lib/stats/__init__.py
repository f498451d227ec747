"""Tests on score tables: one test, one row, with its effect, its interval and the sample size it needs."""

"""Fuzzers: each runs for a stated time and prints how many inputs it tried and what went wrong."""

"""Scores of sets of any size on several devices and machines, shard by shard, under Ray Data."""

"""Fault injection: kill the pipeline, fill its disk, run it twice, through every entrance, and compare what it leaves."""

"""The same bytes on other processors: run the pipeline natively and on an emulated processor, and compare what it writes."""

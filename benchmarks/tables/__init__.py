"""The tables that README and the pages in `docs/` show, made from the JSON files in `results/`."""

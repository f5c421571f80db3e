"""Reports on run folders of any workload: statistics over seeds, tables, figures and a page."""

"""What run folders hold: statistics over seeds, tables, figures and a page, of any workload."""

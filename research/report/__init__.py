"""Reads run folders: statistics over seeds, tables, figures. Knows no workload and no engine."""

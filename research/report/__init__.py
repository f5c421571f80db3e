"""Reads run folders: statistics over seeds, tables, pictures. Knows no workload and no engine."""

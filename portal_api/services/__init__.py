"""Decisions of the portal: who may do what, what stands first, what a page says."""

"""Servers as jobs of Slurm."""

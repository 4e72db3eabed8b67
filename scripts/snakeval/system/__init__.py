"""This machine: files, processes, ports, podman, the commands of Slurm, virtual environments."""

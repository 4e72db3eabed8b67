"""Programs that run inside a deployment's own environment, for engines that ship no server command."""

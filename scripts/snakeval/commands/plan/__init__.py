"""What a run will cost, from what earlier runs took; `no data` where nothing of the kind was ever run."""

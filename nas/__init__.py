"""Accuracy–latency fronts of light-weight vision networks for your data, device and budget."""

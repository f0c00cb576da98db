"""The intake: frames from the socket to the scan folder. It decodes and places, and never computes."""

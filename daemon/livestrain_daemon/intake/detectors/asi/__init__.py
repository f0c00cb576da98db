"""Amsterdam Scientific Instruments: images that Serval sends, and the sparse frames of a CheeTah TPX3."""

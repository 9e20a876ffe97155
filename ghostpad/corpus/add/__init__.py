"""Add footage of one's own to a corpus: files, folders, manifests and addresses, each content once."""

"""Add footage of your own to a corpus: files, folders, manifests and addresses, each content once."""

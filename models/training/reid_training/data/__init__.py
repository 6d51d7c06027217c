"""Data: sources on disk, the packed array made of them, fixed augmented views, batch sampling."""

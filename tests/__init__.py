"""The folders that are packages have fixtures which end with the last of their tests: servers."""

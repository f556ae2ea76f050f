"""Backup of the whole node: the warehouse's part, and the commands `backup` and `restore`. The rest is relay/backup."""

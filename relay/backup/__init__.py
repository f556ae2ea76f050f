"""Backup and restore of one node's data folder. In: `routes` (the running relay's part), `restoring`, for the command
line of analytics/backup, which also knows the warehouse. A backup is a folder: manifest.json, and `data` as it was.
"""

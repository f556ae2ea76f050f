"""A relay comes to a machine: the settings file from five answers, units for systemd. The command line is `cli`."""

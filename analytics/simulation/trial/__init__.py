"""Labelled worlds of honest and abusive senders, played against the policy: `mailweir simulate`."""

"""What came to the inboxes: read once, traced to its message by proof, told to the relay; people's mail as cases."""

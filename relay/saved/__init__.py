"""What people keep to ask again: searches of messages and free questions, each person's own."""

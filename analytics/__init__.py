"""What does all of it mean? The owner of the warehouse: ingests the journals, answers questions, runs the slow jobs."""

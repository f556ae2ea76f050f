"""Run by alembic, inside the transaction that relay.control.migrate opened."""

from alembic import context

from relay.control.state.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()

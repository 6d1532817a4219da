-- Makes the transaction a writing one before it has read: SQLite has one writer.
UPDATE {meta} SET value = value WHERE name = ''

-- The bookkeeping of a row, new or not. ID, then the columns in their order.
INSERT INTO {book} (id, generation, version, cred, prev, adopted, state, created, updated, buried, digest, past, rest, notes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, version = excluded.version, cred = excluded.cred, prev = excluded.prev, adopted = excluded.adopted, state = excluded.state, created = excluded.created, updated = excluded.updated, buried = excluded.buried, digest = excluded.digest, past = excluded.past, rest = excluded.rest, notes = excluded.notes

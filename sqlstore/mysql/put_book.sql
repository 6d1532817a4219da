-- The bookkeeping of a row, new or not. ID, then the columns in their order.
INSERT INTO {book} (id, generation, version, cred, prev, adopted, state, created, updated, buried, digest, past, rest, notes)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON DUPLICATE KEY UPDATE generation = VALUES(generation), version = VALUES(version), cred = VALUES(cred), prev = VALUES(prev), adopted = VALUES(adopted), state = VALUES(state), created = VALUES(created), updated = VALUES(updated), buried = VALUES(buried), digest = VALUES(digest), past = VALUES(past), rest = VALUES(rest), notes = VALUES(notes)

-- ID.
DELETE FROM {tokens} WHERE id = ?

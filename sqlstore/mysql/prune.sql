-- Forgets tombstones. Older than this, in Unix milliseconds.
DELETE FROM {book} WHERE buried < ? LIMIT 100

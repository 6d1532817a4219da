-- Forgets tombstones. Older than this, in Unix milliseconds.
DELETE FROM {book}
WHERE id IN (SELECT b.id FROM {book} AS b WHERE b.buried < ? LIMIT 100)

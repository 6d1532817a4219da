-- The last decimal ID of a row or tombstone in the order of texts.
SELECT b.id FROM {book} AS b
WHERE b.id >= '0' AND b.id < ':' AND b.id REGEXP '^[0-9]+$'
ORDER BY b.id DESC
LIMIT 1

-- The last decimal ID in the order of texts.
SELECT t.id FROM {tokens} AS t
WHERE t.id >= '0' AND t.id < 'A' AND t.id REGEXP '^[0-9]+$'
ORDER BY t.id DESC
LIMIT 1

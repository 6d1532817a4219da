-- Locks the named slots, or waits for them, in the order of their names. Eight names,
-- of which some may be the same.
SELECT m.name FROM {meta} AS m
WHERE m.name IN (?, ?, ?, ?, ?, ?, ?, ?)
ORDER BY m.name
FOR UPDATE

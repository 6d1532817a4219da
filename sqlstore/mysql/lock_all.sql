-- Locks every slot.
SELECT m.name FROM {meta} AS m
WHERE m.name LIKE 'slot-%'
ORDER BY m.name
FOR UPDATE

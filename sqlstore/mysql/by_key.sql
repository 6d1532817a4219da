-- The IDs of rows that a key stands for. Key.
SELECT k.id FROM {keys} AS k WHERE k.k = ?

-- The IDs of rows that a key stands for, or that hold what it is made from; some twice. Key, twice: value.
SELECT CONVERT(k.id USING utf8mb4) FROM {keys} AS k WHERE k.k = ?
UNION ALL SELECT CONVERT(t.id USING utf8mb4) FROM {tokens} AS t WHERE t.refresh_token = ?
UNION ALL SELECT CONVERT(t.id USING utf8mb4) FROM {tokens} AS t WHERE t.grant_token = ?

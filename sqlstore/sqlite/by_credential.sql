-- The IDs of rows that a key stands for, or that hold what it is made from; some twice. Key, twice: value.
SELECT k.id FROM {keys} AS k WHERE k.k = ?
UNION ALL SELECT t.id FROM {tokens} AS t WHERE t.refresh_token = ?
UNION ALL SELECT t.id FROM {tokens} AS t WHERE t.grant_token = ?

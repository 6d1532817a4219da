-- The columns of a table, none when it does not exist. Its name.
SELECT c.column_name, c.data_type, c.column_key = 'PRI',
  c.is_nullable = 'YES' OR c.column_default IS NOT NULL OR c.extra <> '',
  COALESCE(c.character_maximum_length, 0), COALESCE(c.character_octet_length, 0),
  COALESCE(c.character_set_name, ''), COALESCE(c.collation_name, ''),
  COALESCE(t.engine, t.table_type),
  EXISTS (SELECT 1 FROM information_schema.statistics AS s
    WHERE s.table_schema = c.table_schema AND s.table_name = c.table_name
      AND s.column_name = c.column_name AND s.seq_in_index = 1)
FROM information_schema.columns AS c
JOIN information_schema.tables AS t
  ON t.table_schema = c.table_schema AND t.table_name = c.table_name
WHERE c.table_schema = DATABASE() AND c.table_name = ?
ORDER BY c.ordinal_position

-- The columns of a table, none when it does not exist. Its name.
SELECT c.name, lower(c.type), c.pk > 0,
  c."notnull" = 0 OR c.dflt_value IS NOT NULL,
  0, 0, 'utf8mb4', 'binary',
  (SELECT s.type FROM sqlite_master AS s WHERE lower(s.name) = lower(p.name)),
  EXISTS (SELECT 1 FROM pragma_index_list(p.name) AS l, pragma_index_info(l.name) AS i
    WHERE i.seqno = 0 AND i.name = c.name)
FROM (SELECT ? AS name) AS p, pragma_table_info(p.name) AS c
ORDER BY c.cid

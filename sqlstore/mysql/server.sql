-- What the server is, in which character set it speaks with us, and the collation that
-- tells any two texts apart, where it has one.
SELECT VERSION(),
  CONCAT(@@character_set_client, ' ', @@character_set_connection, ' ', @@character_set_results),
  COALESCE((SELECT MIN(c.collation_name) FROM information_schema.collations AS c
    WHERE c.collation_name IN ('utf8mb4_0900_bin', 'utf8mb4_nopad_bin')), 'utf8mb4_bin')

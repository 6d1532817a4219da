-- A key stands for a row. Key, ID.
INSERT IGNORE INTO {keys} (k, id) VALUES (?, ?)

-- A key stands for a row. Key, ID.
INSERT OR IGNORE INTO {keys} (k, id) VALUES (?, ?)

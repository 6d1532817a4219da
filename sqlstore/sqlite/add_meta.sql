-- Sets what is not set yet. Name, value.
INSERT OR IGNORE INTO {meta} (name, value) VALUES (?, ?)

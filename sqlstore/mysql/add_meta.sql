-- Sets what is not set yet. Name, value.
INSERT IGNORE INTO {meta} (name, value) VALUES (?, ?)

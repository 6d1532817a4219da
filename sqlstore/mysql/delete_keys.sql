-- Every key.
DELETE FROM {keys}

-- A key does not stand for a row any more. Key, ID.
DELETE FROM {keys} WHERE k = ? AND id = ?

-- Makes every row a tombstone. Version, now, now.
UPDATE {book}
SET generation = generation + 1, version = ?, cred = '', prev = '', adopted = 0, state = '',
  updated = ?, buried = ?, digest = '', rest = '', notes = ''
WHERE buried IS NULL

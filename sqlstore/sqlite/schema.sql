-- Brings the tables up; each statement may run twice, and in several processes at once.
-- These three are bookkeeping.

CREATE TABLE IF NOT EXISTS {meta} (
  name TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS {book} (
  id TEXT NOT NULL PRIMARY KEY,
  generation INTEGER NOT NULL,
  version TEXT NOT NULL,
  cred TEXT NOT NULL,
  prev TEXT NOT NULL,
  adopted INTEGER NOT NULL,
  state TEXT NOT NULL,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  buried INTEGER NULL,
  digest BLOB NOT NULL,
  past BLOB NOT NULL,
  rest BLOB NOT NULL,
  notes BLOB NOT NULL
);

CREATE INDEX IF NOT EXISTS {book_buried} ON {book} (buried) WHERE buried IS NOT NULL;

CREATE TABLE IF NOT EXISTS {keys} (
  k BLOB NOT NULL,
  id TEXT NOT NULL,
  PRIMARY KEY (k, id)
) WITHOUT ROWID;

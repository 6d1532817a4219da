-- Brings the tables up; each statement may run twice, and in several processes at once.
-- These three are bookkeeping.

CREATE TABLE IF NOT EXISTS {meta} (
  name VARBINARY(64) NOT NULL PRIMARY KEY,
  value VARBINARY(255) NOT NULL
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS {book} (
  id VARBINARY(255) NOT NULL PRIMARY KEY,
  generation BIGINT NOT NULL,
  version VARBINARY(64) NOT NULL,
  cred VARBINARY(255) NOT NULL,
  prev VARBINARY(255) NOT NULL,
  adopted BOOLEAN NOT NULL,
  state VARBINARY(32) NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  buried BIGINT NULL,
  digest VARBINARY(32) NOT NULL,
  past MEDIUMBLOB NOT NULL,
  rest LONGBLOB NOT NULL,
  notes MEDIUMBLOB NOT NULL,
  KEY (buried)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS {keys} (
  k BINARY(20) NOT NULL,
  id VARBINARY(255) NOT NULL,
  PRIMARY KEY (k, id)
) ENGINE = InnoDB;

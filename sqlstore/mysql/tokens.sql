-- The table of the SDKs, where there is none: wide enough for any token, and indexed
-- where rows are looked up by a column. {collation} tells any two IDs apart.

CREATE TABLE IF NOT EXISTS {tokens} (
  id VARCHAR(255) NOT NULL,
  user_name MEDIUMTEXT NULL,
  client_id MEDIUMTEXT NULL,
  client_secret MEDIUMTEXT NULL,
  refresh_token MEDIUMTEXT NULL,
  access_token MEDIUMTEXT NULL,
  grant_token MEDIUMTEXT NULL,
  expiry_time VARCHAR(20) NULL,
  redirect_url MEDIUMTEXT NULL,
  api_domain MEDIUMTEXT NULL,
  PRIMARY KEY (id),
  KEY (user_name(255)),
  KEY (refresh_token(255)),
  KEY (access_token(255)),
  KEY (grant_token(255))
) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE {collation};

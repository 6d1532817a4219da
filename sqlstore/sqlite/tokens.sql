-- The table of the SDKs, where there is none.

CREATE TABLE IF NOT EXISTS {tokens} (
  id varchar(255) NOT NULL,
  user_name text,
  client_id text,
  client_secret text,
  refresh_token text,
  access_token text,
  grant_token text,
  expiry_time varchar(20),
  redirect_url text,
  api_domain text,
  primary key (id)
);

CREATE INDEX IF NOT EXISTS {tokens_user} ON {tokens} (user_name);
CREATE INDEX IF NOT EXISTS {tokens_refresh} ON {tokens} (refresh_token);
CREATE INDEX IF NOT EXISTS {tokens_access} ON {tokens} (access_token);
CREATE INDEX IF NOT EXISTS {tokens_grant} ON {tokens} (grant_token);

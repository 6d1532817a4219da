-- A new row of the SDKs' table. ID, then the columns in their order.
INSERT INTO {tokens} (id, user_name, client_id, client_secret, refresh_token, access_token, grant_token, expiry_time, redirect_url, api_domain)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

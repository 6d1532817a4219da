-- The columns in their order, ID.
UPDATE {tokens}
SET user_name = ?, client_id = ?, client_secret = ?, refresh_token = ?, access_token = ?, grant_token = ?, expiry_time = ?, redirect_url = ?, api_domain = ?
WHERE id = ?

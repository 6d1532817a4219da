-- The rows that follow, as page_first. The last ID, how many.
SELECT t.id, t.user_name, t.client_id, t.client_secret, t.refresh_token, t.access_token, t.grant_token, t.expiry_time, t.redirect_url, t.api_domain,
  b.generation, b.version, b.cred, b.prev, b.adopted, b.state, b.created, b.updated, b.buried, b.digest, b.past, b.rest, b.notes
FROM {tokens} AS t
LEFT JOIN {book} AS b ON b.id = CAST(CONVERT(t.id USING utf8mb4) AS BINARY)
WHERE t.id > ?
ORDER BY t.id
LIMIT ?

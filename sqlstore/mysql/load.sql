-- One row with its bookkeeping, each NULL where it is missing. Twice: id.
SELECT t.id, t.user_name, t.client_id, t.client_secret, t.refresh_token, t.access_token, t.grant_token, t.expiry_time, t.redirect_url, t.api_domain,
  b.generation, b.version, b.cred, b.prev, b.adopted, b.state, b.created, b.updated, b.buried, b.digest, b.past, b.rest, b.notes
FROM (SELECT 1 AS one) AS one
LEFT JOIN {tokens} AS t ON t.id = ?
LEFT JOIN {book} AS b ON b.id = ?

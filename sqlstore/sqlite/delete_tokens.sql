-- Every row of the SDKs' table.
DELETE FROM {tokens}

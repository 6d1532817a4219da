-- Name.
SELECT m.value FROM {meta} AS m WHERE m.name = ?

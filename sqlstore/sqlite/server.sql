-- What the database is. The rest stands for what only servers have.
SELECT sqlite_version(), 'utf8mb4 utf8mb4 utf8mb4', 'binary'

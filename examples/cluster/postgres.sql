-- A role of Latchwork's own, which is no superuser: row-level security holds for it.
\getenv password POSTGRES_PASSWORD
CREATE ROLE latchwork LOGIN PASSWORD :'password';
CREATE DATABASE latchwork OWNER latchwork;
-- Behind the fence PostgreSQL looks nothing up by functions that it does not trust to keep secrets. This one serves searches.
\connect latchwork
ALTER FUNCTION pg_catalog.textlike(text, text) LEAKPROOF;

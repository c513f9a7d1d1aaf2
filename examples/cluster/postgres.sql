-- A role of Latchwork's own, which is no superuser: row-level security holds for it.
\getenv password POSTGRES_PASSWORD
CREATE ROLE latchwork LOGIN PASSWORD :'password';
CREATE DATABASE latchwork OWNER latchwork;

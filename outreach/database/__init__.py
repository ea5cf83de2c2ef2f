"""The database: tables, engine, bulk statements and migrations. SQLite and PostgreSQL alike."""
